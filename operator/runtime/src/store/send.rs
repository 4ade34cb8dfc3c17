//! A backup: what comes through the pipe is encrypted and sent as it comes; the manifest is written last.

use std::io::{Read, Write};
use std::path::Path;
use std::thread;

use age::x25519::Recipient;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use jiff::Timestamp;
use plinth_api::v1alpha1::backup::Retention;
use plinth_plan::backup::{Document, Extent, Manifest};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::list;
use super::pipe::Shared;
use super::s3::{Store, Upload};

/// Bytes of the first parts; each thousand parts are larger by as much, so that what S3 takes of parts, 10,000, is enough for
/// half a terabyte.
const PART: usize = 8 << 20;
/// How a backup is called: when it was begun.
const ID: &str = "%Y%m%dT%H%M%SZ";

/// The moment that the name of a backup stands for.
///
/// # Errors
/// It is no such name.
pub fn moment_of(id: &str) -> Result<Timestamp> {
    let time = jiff::civil::DateTime::strptime(ID, id)
        .with_context(|| format!("`{id}` is no name of a backup, such as 20261130T020000Z"))?;
    Ok(time.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
}

/// Takes a backup, named after `began`; `escrow` are the block's secrets, encrypted already. Says what it has done, a line each.
///
/// # Errors
/// The dump failed or is not whole, or the storage refused. Nothing that looks like a backup is left then.
pub async fn send(
    document: &Document,
    store: &Store,
    folder: &Path,
    escrow: Option<Vec<u8>>,
    (began, now): (Timestamp, impl Fn() -> Timestamp),
    mut say: impl FnMut(String),
) -> Result<Manifest> {
    let shared = Shared::new(folder);
    let sent = take(document, store, &shared, escrow, (began, now), &mut say).await;
    match &sent {
        Err(_) => shared.say_failed(),
        Ok(manifest) => {
            // A backup that is there is worth more than one too many that is not gone.
            if let Err(error) = prune(document, store, manifest, &mut say).await {
                say(format!("backups that are too old stay: {error:#}"));
            }
        }
    }
    sent
}

async fn take(
    document: &Document,
    store: &Store,
    shared: &Shared,
    escrow: Option<Vec<u8>>,
    (began, now): (Timestamp, impl Fn() -> Timestamp),
    say: &mut impl FnMut(String),
) -> Result<Manifest> {
    let recipients = recipients(&document.recipients)?;
    shared.make_pipe()?;
    let (parts, coming) = mpsc::channel(1);
    let (done, read) = oneshot::channel();
    let pipe = shared.clone();
    // Not waited for: it may stand before a pipe that nobody opens any more.
    thread::spawn(move || drop(done.send(sealed(&pipe, &recipients, parts))));

    let id = began.strftime(ID).to_string();
    let object = document.place.dump(&id);
    let mut upload = store.begin(&object).await?;
    let sent = tokio::select! {
        sent = parts_of(&mut upload, coming) => sent,
        why = shared.given_up() => Err(why),
    };
    let ended = match sent {
        Ok(sealed) => wholly(shared, read).await.map(|plain| (sealed, plain)),
        Err(why) => Err(why),
    };
    let (sealed, plain) = match ended {
        Ok(both) => both,
        Err(why) => {
            upload.abort().await;
            return Err(why);
        }
    };
    upload.complete().await?;
    let secrets = match escrow {
        None => None,
        Some(bytes) => {
            let mut measured = Measured::default();
            measured.add(&bytes);
            store.write(&document.place.secrets(&id), bytes).await?;
            Some(measured.extent())
        }
    };
    let manifest = Manifest {
        form: Manifest::FORM,
        id: id.clone(),
        of: document.of.clone(),
        taken_at: began.as_second(),
        seconds: now().as_second() - began.as_second(),
        sealed,
        plain,
        secrets,
        counts: shared.counts()?,
        recipients: document.recipients.clone(),
    };
    store.write(&document.place.manifest(&id), serde_json::to_vec_pretty(&manifest)?).await?;
    say(format!(
        "backup {id}: {} rows of {} tables, {} bytes, encrypted to {} recipients",
        manifest.counts.values().sum::<u64>(),
        manifest.counts.len(),
        manifest.sealed.bytes,
        manifest.recipients.len()
    ));
    Ok(manifest)
}

/// Who can read it.
fn recipients(texts: &[String]) -> Result<Vec<Recipient>> {
    let read = |text: &String| {
        text.parse::<Recipient>().map_err(|why| anyhow::anyhow!("`{text}` is no recipient: {why}"))
    };
    let recipients: Vec<Recipient> = texts.iter().map(read).collect::<Result<_>>()?;
    anyhow::ensure!(!recipients.is_empty(), "nobody is named who could read the backup");
    Ok(recipients)
}

/// Sends parts until no more come: size and digest of all of them.
async fn parts_of(upload: &mut Upload<'_>, mut coming: mpsc::Receiver<Bytes>) -> Result<Extent> {
    let mut measured = Measured::default();
    while let Some(part) = coming.recv().await {
        measured.add(&part);
        upload.part(part).await?;
    }
    Ok(measured.extent())
}

/// What was read, once both sides say that this was all.
async fn wholly(shared: &Shared, read: oneshot::Receiver<Result<Extent>>) -> Result<Extent> {
    let plain = read.await.context("the dump is read no more")??;
    shared.whole().await?;
    Ok(plain)
}

/// Reads the pipe to its end, encrypts, and passes parts on.
fn sealed(shared: &Shared, recipients: &[Recipient], parts: mpsc::Sender<Bytes>) -> Result<Extent> {
    let mut pipe = shared.reader().context("opening the pipe")?;
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients)?;
    let mut out = encryptor.wrap_output(Parts { parts, sent: 0, next: Vec::with_capacity(PART) })?;
    let mut measured = Measured::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = pipe.read(&mut buffer).context("reading the dump")?;
        if read == 0 {
            break;
        }
        measured.add(&buffer[..read]);
        out.write_all(&buffer[..read])?;
    }
    out.finish()?.last()?;
    Ok(measured.extent())
}

/// Collects parts and passes them on.
struct Parts {
    parts: mpsc::Sender<Bytes>,
    sent: usize,
    next: Vec<u8>,
}

impl Parts {
    fn size(&self) -> usize {
        PART * (1 + self.sent / 1000)
    }

    fn pass(&mut self) -> std::io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.next));
        let gone = |_| std::io::Error::new(std::io::ErrorKind::BrokenPipe, "nobody sends the parts any more");
        self.parts.blocking_send(part).map_err(gone)?;
        self.sent += 1;
        Ok(())
    }

    fn last(mut self) -> std::io::Result<()> {
        if self.next.is_empty() { Ok(()) } else { self.pass() }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.size() - self.next.len());
        self.next.extend_from_slice(&bytes[..taken]);
        if self.next.len() == self.size() {
            self.pass()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Size and digest of what passes.
#[derive(Default)]
pub(super) struct Measured {
    bytes: u64,
    digest: Sha256,
}

impl Measured {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    pub(super) fn extent(self) -> Extent {
        let sha256 = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Extent { bytes: self.bytes, sha256 }
    }
}

/// Deletes what nothing keeps. The manifest goes first: what is left of a backup without one is no backup.
async fn prune(
    document: &Document,
    store: &Store,
    newest: &Manifest,
    say: &mut impl FnMut(String),
) -> Result<()> {
    let ids = list(document, store).await?;
    for id in too_old(&ids, &document.retention, newest.taken_at) {
        store.delete(&document.place.manifest(id)).await?;
        store.delete(&document.place.dump(id)).await?;
        store.delete(&document.place.secrets(id)).await?;
        say(format!(
            "backup {id} has been deleted: neither is it among the newest that are kept, nor young enough"
        ));
    }
    Ok(())
}

/// Those that nothing keeps, of all, oldest first.
fn too_old<'a>(ids: &'a [String], retention: &Retention, now: i64) -> &'a [String] {
    let spare = ids.len().saturating_sub(usize::try_from(retention.count).unwrap_or(usize::MAX));
    let Some(days) = retention.days else { return &ids[..spare] };
    let oldest = now - i64::from(days) * 86_400;
    let at = |id: &String| {
        jiff::civil::DateTime::strptime(ID, id).ok()?.in_tz("UTC").ok().map(|at| at.timestamp().as_second())
    };
    // What has no time in its name is nobody's to delete.
    let old = ids[..spare].iter().take_while(|id| at(id).is_some_and(|at| at < oldest)).count();
    &ids[..old]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_goes_when_neither_count_nor_age_keeps_it() {
        let ids: Vec<String> =
            ["20260101T020000Z", "20260201T020000Z", "20260301T020000Z"].map(str::to_owned).to_vec();
        let now = jiff::civil::date(2026, 3, 1).at(2, 0, 0, 0).in_tz("UTC").unwrap().timestamp().as_second();
        let kept = |count, days| too_old(&ids, &Retention { count, days }, now).len();
        assert_eq!(kept(1, None), 2);
        assert_eq!(kept(3, None), 0);
        assert_eq!(kept(1, Some(40)), 1);
        assert_eq!(kept(1, Some(400)), 0);
        assert_eq!(kept(2, Some(1)), 1);
        let odd = ["by-hand".to_owned(), "20260301T020000Z".to_owned()];
        assert!(too_old(&odd, &Retention { count: 1, days: Some(1) }, now).is_empty());
    }

    #[test]
    fn parts_grow_so_that_what_is_large_fits() {
        let (parts, mut coming) = mpsc::channel(2);
        let mut out = Parts { parts, sent: 999, next: Vec::new() };
        let reader = thread::spawn(move || {
            let mut sizes = Vec::new();
            while let Some(part) = coming.blocking_recv() {
                sizes.push(part.len());
            }
            sizes
        });
        out.write_all(&vec![0; PART + 2 * PART + 5]).unwrap();
        out.last().unwrap();
        assert_eq!(reader.join().unwrap(), [PART, 2 * PART, 5]);
    }
}
