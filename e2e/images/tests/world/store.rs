//! Object storage outside of the Stack: the gateway of the image that stands for versitygw, over a folder of this machine, in the
//! network of the pods.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;

use super::World;

/// Where the catalogue has it from.
const IMAGE: &str = "plinth.local/versity/versitygw:v1.7.0";
const PORT: &str = "7171";
const BUCKET: &str = "backups";
const USER: (&str, &str) = ("vault", "vault-secret-key");
const PATIENCE: Duration = Duration::from_secs(60);

/// A key pair of age.
pub struct Keys {
    /// The private key.
    pub private: String,
    /// The public key.
    pub public: String,
}

impl Keys {
    /// A new pair.
    pub fn new() -> Self {
        let identity = Identity::generate();
        Self {
            private: identity.to_string().expose_secret().to_owned(),
            public: identity.to_public().to_string(),
        }
    }
}

impl Keys {
    /// What is encrypted to this pair; `None` where it is not.
    pub fn open(&self, sealed: &[u8]) -> Option<String> {
        let identity: Identity = self.private.parse().ok()?;
        let decryptor = age::Decryptor::new_buffered(sealed).ok()?;
        let mut plain = String::new();
        decryptor
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .ok()?
            .read_to_string(&mut plain)
            .ok()?;
        Some(plain)
    }
}

/// The storage; it ends with this.
pub struct Store {
    process: Child,
    folder: PathBuf,
}

impl Store {
    /// `spec.backup` that sends there, for whoever has these keys.
    pub fn policy(keys: &Keys) -> String {
        let target = format!(
            "{{ endpoint: 'http://localhost:{PORT}', bucket: {BUCKET}, prefix: trial, credentialsSecret: account, \
             objectLock: {{ mode: Governance, days: 1 }} }}"
        );
        format!(
            "{{ schedule: '0 2 * * *', target: {target}, recipients: [{}], \
             rehearsal: {{ schedule: '0 4 * * sun', identitySecret: rehearsal }} }}",
            keys.public
        )
    }

    /// Starts it with an empty bucket, whose objects can be locked, and tells the Stack its account.
    pub fn start(world: &World) -> Self {
        let (root, _) = world.root_of(IMAGE);
        let folder = world.folder.path().join("store");
        std::fs::create_dir_all(folder.join("objects")).unwrap();
        std::fs::create_dir_all(folder.join("versions")).unwrap();
        let mut gateway = world.in_network(root.join("usr/local/bin/versitygw").to_str().expect("a path"));
        let process = gateway
            .args(["--port", &format!("127.0.0.1:{PORT}"), "--access", USER.0, "--secret", USER.1, "posix"])
            .arg("--versioning-dir")
            .args([folder.join("versions"), folder.join("objects")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { process, folder };
        let end = Instant::now() + PATIENCE;
        let made = || {
            world.curl_says(&signed(&["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true"], BUCKET))
        };
        while let Err(why) = made() {
            assert!(Instant::now() < end, "the bucket cannot be made: {why}");
            std::thread::sleep(Duration::from_millis(200));
        }
        world.supply("account", "accessKey", USER.0);
        world.supply("account", "secretKey", USER.1);
        store
    }

    /// Folders of the backups of a requirement, oldest first; the name of each is its id.
    pub fn backups(&self, block: &str, requirement: &str) -> Vec<PathBuf> {
        let folder =
            self.folder.join("objects").join(BUCKET).join("trial/trial/trial").join(block).join(requirement);
        let mut found: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        found.sort();
        found
    }

    /// Whether the storage would let somebody with its account delete a version of an object for good.
    pub fn would_delete(&self, world: &World, object: &str) -> bool {
        let listed = world
            .curl_says(&signed(&[], &format!("{BUCKET}?prefix={}&versions=", object.replace('/', "%2F"))))
            .unwrap();
        let version =
            listed.split("<VersionId>").nth(1).and_then(|rest| rest.split('<').next()).expect("a version");
        world.curl(&signed(&["-X", "DELETE"], &format!("{BUCKET}/{object}?versionId={version}"))).is_some()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Arguments of curl for a signed request.
fn signed(arguments: &[&str], path: &str) -> Vec<&'static str> {
    let user = format!("{}:{}", USER.0, USER.1);
    let all = arguments.iter().map(|argument| (*argument).to_owned()).chain(
        [
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &user,
            "-H",
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        ]
        .map(str::to_owned),
    );
    let url = format!("http://127.0.0.1:{PORT}/{path}");
    all.chain([url]).map(|text| &*text.leak()).collect()
}

/// The name of a backup's folder.
pub fn id_of(backup: &Path) -> String {
    backup.file_name().expect("a name").to_string_lossy().into_owned()
}
