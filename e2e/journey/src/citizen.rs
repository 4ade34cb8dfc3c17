//! What a citizen does, and what she sees.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::Locator;
use serde::Serialize;

use crate::{Browser, Person, within};

/// Longest wait for a page.
const LIMIT: Duration = Duration::from_secs(90);

/// A citizen at a browser.
pub struct Citizen<'a> {
    person: &'a Person,
    browser: &'a Browser,
    service: String,
}

/// The page that she is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Asked to sign in.
    Welcome,
    /// At the identity provider.
    SignIn,
    /// Asked whether she agrees.
    Consent,
    /// Shown her record, and asked to sign.
    Application {
        /// Her name, as the register has it.
        name: String,
    },
    /// Paid.
    Paid(Paid),
    /// A step failed.
    Failed {
        /// Which.
        step: String,
        /// What the service says of it.
        why: String,
    },
}

/// What the service says at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// Number of the application, and of the transfer.
    pub number: String,
    /// Whose signature it is.
    pub signer: String,
    /// What validation says of it.
    pub indication: String,
    /// The sum with its currency.
    pub amount: String,
    /// Where it went.
    pub account: String,
    /// State of the transfer.
    pub payment: String,
}

impl<'a> Citizen<'a> {
    /// A person at a browser, and the public address of the service.
    #[must_use]
    pub fn at(browser: &'a Browser, person: &'a Person, service: &str) -> Self {
        Self { person, browser, service: service.to_owned() }
    }

    /// Opens the service.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn open(&self) -> Result<Page> {
        within(LIMIT, "the service's page", async || {
            self.browser.client.goto(&self.service).await?;
            self.now().await
        })
        .await
    }

    /// Signs in at the identity provider, and comes back.
    ///
    /// # Errors
    /// She does not come back to the service.
    pub async fn sign_in(&self) -> Result<Page> {
        self.press("sign-in").await?;
        let at_provider = self.arrived(|page| *page != Page::Welcome).await?;
        // The provider still knows her: she is back already.
        if at_provider != Page::SignIn {
            return Ok(at_provider);
        }
        self.fill_in().await?;
        self.arrived(|page| !matches!(page, Page::SignIn | Page::Welcome)).await
    }

    /// Tries to sign in where she is not let in.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn sign_in_refused(&self) -> Result<Page> {
        self.press("sign-in").await?;
        self.arrived(|page| *page != Page::Welcome).await?;
        self.fill_in().await?;
        self.now().await
    }

    async fn fill_in(&self) -> Result<()> {
        self.enter("username", &self.person.number).await?;
        self.enter("password", &self.person.password).await?;
        self.press("kc-login").await
    }

    /// Agrees that her record is read.
    ///
    /// # Errors
    /// No other page comes.
    pub async fn agree(&self) -> Result<Page> {
        self.press("agree").await?;
        self.arrived(|page| *page != Page::Consent).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// No other page comes.
    pub async fn withdraw(&self) -> Result<Page> {
        self.press("withdraw").await?;
        self.arrived(|page| !matches!(page, Page::Application { .. })).await
    }

    /// Signs and applies.
    ///
    /// # Errors
    /// No other page comes.
    pub async fn apply(&self) -> Result<Page> {
        self.press("apply").await?;
        self.arrived(|page| !matches!(page, Page::Application { .. })).await
    }

    /// The page that she is on now.
    ///
    /// # Errors
    /// It is none of the service's or the identity provider's.
    pub async fn now(&self) -> Result<Page> {
        if let Some(step) = self.text("failed").await? {
            return Ok(Page::Failed { step, why: self.text("why").await?.unwrap_or_default() });
        }
        if let Some(payment) = self.text("payment").await? {
            let said =
                async |id: &str| self.text(id).await?.with_context(|| format!("the page says no {id}"));
            return Ok(Page::Paid(Paid {
                number: said("number").await?,
                signer: said("signer").await?,
                indication: said("indication").await?,
                amount: said("amount").await?,
                account: said("account").await?,
                payment,
            }));
        }
        if let Some(name) = self.text("name").await? {
            return Ok(Page::Application { name });
        }
        for (id, page) in [("agree", Page::Consent), ("kc-login", Page::SignIn), ("sign-in", Page::Welcome)] {
            if self.text(id).await?.is_some() {
                return Ok(page);
            }
        }
        let address = self.browser.client.current_url().await?;
        let source = self.browser.client.source().await?;
        bail!("a page that nobody expected at {address}: {}", source.chars().take(600).collect::<String>())
    }

    async fn arrived(&self, there: impl Fn(&Page) -> bool) -> Result<Page> {
        within(LIMIT, "the next page", async || {
            let page = self.now().await?;
            ensure!(there(&page), "still {page:?}");
            Ok(page)
        })
        .await
    }

    async fn press(&self, id: &str) -> Result<()> {
        let element = self.browser.client.find(Locator::Id(id)).await;
        element
            .with_context(|| format!("the page has no {id}"))?
            .click()
            .await
            .with_context(|| format!("pressing {id}"))
    }

    async fn enter(&self, id: &str, text: &str) -> Result<()> {
        let element = self.browser.client.find(Locator::Id(id)).await;
        element
            .with_context(|| format!("the page has no {id}"))?
            .send_keys(text)
            .await
            .with_context(|| format!("filling in {id}"))
    }

    /// What an element says; nothing where the page has none.
    async fn text(&self, id: &str) -> Result<Option<String>> {
        match self.browser.client.find(Locator::Id(id)).await {
            Ok(element) => Ok(Some(element.text().await?)),
            Err(error) if error.is_no_such_element() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
