//! A backup is brought back: checked as a whole before anything is done with it, then passed into the pipe as it comes.

use std::io::{Read, Write};
use std::iter;
use std::path::Path;
use std::thread;

use age::DecryptError;
use age::x25519::Identity;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::{Buf as _, Bytes};
use plinth_plan::backup::{Document, Extent, Manifest};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::pipe::Shared;
use super::s3::Store;
use super::send::Measured;

/// What decrypts backups.
pub struct Opened(Identity);

impl Opened {
    /// Reads a private key.
    ///
    /// # Errors
    /// It is none. What it is instead is never repeated.
    pub fn read(text: &str) -> Result<Self> {
        let key = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let key = key.context("there is no private key")?;
        let read =
            key.parse().map_err(|why| anyhow!("this is no private key of age (AGE-SECRET-KEY-1…): {why}"));
        read.map(Self)
    }
}

/// Reads all of a backup and finds it to be what was sent, without keeping any of it.
///
/// # Errors
/// It is truncated, damaged, or encrypted to somebody else.
pub async fn check(document: &Document, store: &Store, manifest: &Manifest, key: &Opened) -> Result<()> {
    passed(document, store, manifest, key, || Ok(std::io::sink())).await
}

/// The block's secrets as they were when a backup was taken: a List of Secrets, JSON.
///
/// # Errors
/// The backup has none, they are damaged, or encrypted to somebody else.
pub async fn secrets(
    document: &Document,
    store: &Store,
    manifest: &Manifest,
    key: &Opened,
) -> Result<Zeroizing<Vec<u8>>> {
    let object = document.place.secrets(&manifest.id);
    let wanted = manifest.secrets.as_ref();
    let wanted =
        wanted.with_context(|| format!("backup {} has no secrets: the block had none", manifest.id))?;
    let sealed = store.read(&object).await?.with_context(|| format!("there is no {object}"))?;
    let mut measured = Measured::default();
    measured.add(&sealed);
    ensure!(measured.extent() == *wanted, "{object} is damaged: its SHA-256 is not that of what was sent");
    let decryptor = age::Decryptor::new_buffered(&*sealed)?;
    let mut plain = Zeroizing::new(Vec::new());
    decryptor.decrypt(iter::once(&key.0 as &dyn age::Identity))?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// Passes a backup into the pipe, and says how many rows there have to be.
///
/// # Errors
/// As [`check`]; what has been passed on until then is not said to be whole.
pub async fn fetch(
    document: &Document,
    store: &Store,
    manifest: &Manifest,
    key: &Opened,
    folder: &Path,
) -> Result<()> {
    let shared = Shared::new(folder);
    let pipe = shared.clone();
    let work = async {
        shared.say_counts(&manifest.counts)?;
        shared.make_pipe()?;
        passed(document, store, manifest, key, move || pipe.writer()).await?;
        shared.say_whole()
    };
    let done = tokio::select! {
        done = work => done,
        why = shared.given_up() => Err(why),
    };
    if done.is_err() {
        shared.say_failed();
    }
    done
}

/// Decrypts into whatever `open` opens.
async fn passed<W: Write>(
    document: &Document,
    store: &Store,
    manifest: &Manifest,
    key: &Opened,
    open: impl FnOnce() -> std::io::Result<W> + Send + 'static,
) -> Result<()> {
    let object = document.place.dump(&manifest.id);
    let damaged = |why: String| anyhow!("backup {} is damaged: {why}", manifest.id);
    let answer = store.open(&object).await?;
    let mut answer = answer.ok_or_else(|| damaged(format!("there is no {object}")))?;
    if let Some(length) = answer.length().filter(|length| *length != manifest.sealed.bytes) {
        return Err(damaged(format!("{object} has {length} bytes, and {} were sent", manifest.sealed.bytes)));
    }
    let (pass, coming) = mpsc::channel::<Bytes>(4);
    let (done, result) = oneshot::channel();
    let key = key.0.clone();
    // Not waited for: it may stand before a pipe that nobody opens any more.
    thread::spawn(move || {
        drop(done.send(
            open().map_err(DecryptError::from).and_then(|out| unsealed(Coming::new(coming), &key, out)),
        ));
    });
    let mut measured = Measured::default();
    while let Some(bytes) = answer.next().await? {
        measured.add(&bytes);
        // Who decrypts has given up, and says why.
        if pass.send(bytes).await.is_err() {
            break;
        }
    }
    drop(pass);
    let plain = match result.await.context("nobody decrypts any more")? {
        Ok(plain) => plain,
        Err(DecryptError::NoMatchingKeys) => {
            let recipients = manifest.recipients.join(", ");
            bail!("the key does not open backup {}: it is encrypted to {recipients}", manifest.id);
        }
        Err(DecryptError::Io(why)) if why.kind() == std::io::ErrorKind::BrokenPipe => {
            bail!("what restores has ended before the backup had")
        }
        Err(why) => return Err(damaged(why.to_string())),
    };
    let sealed = measured.extent();
    ensure!(sealed == manifest.sealed, damaged("its SHA-256 is not that of what was sent".to_owned()));
    ensure!(plain == manifest.plain, damaged("what is in it is not what was dumped".to_owned()));
    Ok(())
}

fn unsealed(coming: Coming, key: &Identity, mut out: impl Write) -> Result<Extent, DecryptError> {
    let decryptor = age::Decryptor::new_buffered(std::io::BufReader::new(coming))?;
    let mut plain = decryptor.decrypt(iter::once(key as &dyn age::Identity))?;
    let mut measured = Measured::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = plain.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        measured.add(&buffer[..read]);
        out.write_all(&buffer[..read])?;
    }
    out.flush()?;
    Ok(measured.extent())
}

/// What comes, as a reader.
struct Coming {
    coming: mpsc::Receiver<Bytes>,
    next: Bytes,
}

impl Coming {
    fn new(coming: mpsc::Receiver<Bytes>) -> Self {
        Self { coming, next: Bytes::new() }
    }
}

impl Read for Coming {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.next.is_empty() {
            match self.coming.blocking_recv() {
                Some(bytes) => self.next = bytes,
                None => return Ok(0),
            }
        }
        let taken = into.len().min(self.next.len());
        self.next.copy_to_slice(&mut into[..taken]);
        Ok(taken)
    }
}
