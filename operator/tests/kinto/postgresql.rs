//! A PostgreSQL of this machine, in a folder of its own, on loopback.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plinth_cluster::free_port;

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// A start, or one after a crash.
const LIMIT: Duration = Duration::from_secs(60);

/// A running server; it ends with this.
pub struct PostgreSql {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
    /// The database with its own user, as a URL.
    pub url: String,
}

impl PostgreSql {
    /// Makes a server with one database, and a user of the same name that owns it.
    pub fn start(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        run(as_user("initdb").args(["-A", "trust", "-U", "postgres", "-D"]).arg(folder.path().join("data")));
        let process = serve(folder.path(), port);
        let url = format!("postgresql://{database}:storage-password@127.0.0.1:{port}/{database}");
        let mut server = Self { process, folder, port, url };
        server.wait();
        server.sql(&format!("CREATE ROLE {database} LOGIN PASSWORD 'storage-password'"));
        server.sql(&format!("CREATE DATABASE {database} OWNER {database}"));
        server
    }

    /// Ends it as a lost node would, and starts it again on what it had written.
    pub fn crash(&mut self) {
        self.stop();
        self.process = serve(self.folder.path(), self.port);
        self.wait();
    }

    fn sql(&self, statement: &str) {
        run(self.psql().args(["-c", statement]));
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(program("psql"));
        psql.args(["-h", "127.0.0.1", "-U", "postgres", "-q", "-p"]).arg(self.port.to_string());
        psql
    }

    fn wait(&mut self) {
        let end = Instant::now() + LIMIT;
        while !self.psql().args(["-c", "SELECT 1"]).output().unwrap().status.success() {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("PostgreSQL does not answer ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn stop(&mut self) {
        // An immediate shutdown: nothing is written any more, and the next start recovers. A killed one leaves processes.
        let _ = Command::new("kill").arg("-QUIT").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(folder: &Path, port: u16) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    as_user("postgres")
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
        .arg(folder)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// A program that refuses to run as root.
fn as_user(name: &str) -> Command {
    let program = program(name);
    if !is_root() {
        return Command::new(program);
    }
    // It becomes the program (exec), so that this is the one process that there is.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Of the newest version that Debian has; else the one on the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let program = version.path().join("bin").join(name);
            program.is_file().then_some((version.file_name().to_str()?.parse().ok()?, program))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(|| name.into(), |(_, program)| program)
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
