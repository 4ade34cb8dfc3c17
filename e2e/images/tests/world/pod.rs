//! A pod of several containers that runs once: those before it one after the other, then all of them side by side.

use std::process::Stdio;

use super::World;
use super::container::{ONCE, Spec};
use super::volumes::folder;

impl World {
    /// Runs the pod of a component, or of the Job whose name begins so, to its end: what each container said, or of those that
    /// failed.
    pub fn run(&self, component: &str) -> Result<String, String> {
        self.spec(component).run_all(self)
    }
}

impl Spec {
    fn run_all(&self, world: &World) -> Result<String, String> {
        for volume in self.pod["volumes"].as_array().into_iter().flatten() {
            // Another pod, another empty folder.
            if volume["emptyDir"].is_object() {
                let name = volume["name"].as_str().expect("a name");
                let _ = std::fs::remove_dir_all(folder(world, &self.component, name));
            }
        }
        for init in &self.init {
            let ran = self.command(world, init, None, Some(ONCE)).output().unwrap();
            if !ran.status.success() {
                return Err(said(&init["name"], &ran));
            }
        }
        let containers = self.pod["containers"].as_array().expect("containers");
        let started: Vec<_> = containers
            .iter()
            .map(|container| {
                let mut command = self.command(world, container, None, Some(ONCE));
                let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                (&container["name"], child)
            })
            .collect();
        let ended: Vec<_> =
            started.into_iter().map(|(name, child)| (name, child.wait_with_output().unwrap())).collect();
        let failed: Vec<String> = ended
            .iter()
            .filter(|(_, ran)| !ran.status.success())
            .map(|(name, ran)| said(name, ran))
            .collect();
        if !failed.is_empty() {
            return Err(failed.join("\n"));
        }
        Ok(ended.iter().map(|(name, ran)| said(name, ran)).collect::<Vec<_>>().join("\n"))
    }
}

fn said(name: &serde_json::Value, ran: &std::process::Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{name}: {}{}", text(&ran.stdout), text(&ran.stderr))
}
