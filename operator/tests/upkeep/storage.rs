//! Object storage that is none of the country's: a gateway over a folder of its pod, in a namespace of its own.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use kube::Api;
use kube::api::PostParams;
use plinth_cluster::Lines;
use plinth_images::Images;
use plinth_journey::Country;
use serde_json::{Value, json};

const NAMESPACE: &str = "vault";
const POD: &str = "store";
const BUCKET: &str = "dpi-backups";
const ACCOUNT: &str = "backup-account";
const IMAGE: &str = "plinth.local/versity/versitygw:v1.7.0";
/// As the catalogue's entry of the product has it.
const PORT: u16 = 7070;
/// User and password, of nothing else.
const KEYS: (&str, &str) = ("vault", "vault-secret-key");

/// Starts it, and tells the country's namespace its account.
pub async fn start(country: &Country) -> Result<()> {
    let archive = tokio::task::spawn_blocking(|| -> Result<_> {
        let progress = Lines::default();
        Ok(Images::new(&progress)?.build("versitygw")?.archive)
    });
    country.plane.import_image(&archive.await??).await.context("importing the storage's image")?;
    let client = &country.client;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    country.start(NAMESPACE, pod()).await?;
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": POD },
        "spec": { "selector": { "app": POD }, "ports": [{ "port": PORT }] },
    }))?;
    Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &service).await?;
    let account: Secret = serde_json::from_value(json!({
        "metadata": { "name": ACCOUNT },
        "stringData": { "accessKey": KEYS.0, "secretKey": KEYS.1 },
    }))?;
    let secrets = Api::namespaced(client.clone(), super::STACK_NAMESPACE);
    secrets.create(&PostParams::default(), &account).await?;
    Ok(())
}

/// What the Stack says of backups.
pub fn policy(recipient: &str) -> Value {
    json!({
        "schedule": "0 2 * * *",
        "target": {
            "endpoint": format!("http://{POD}.{NAMESPACE}.svc:{PORT}"),
            "bucket": BUCKET,
            "credentialsSecret": ACCOUNT,
        },
        "recipients": [recipient],
    })
}

/// Ids of the backups of a requirement (`block/requirement`) that the storage has, oldest first.
pub fn backups(country: &Country, what: &str) -> Result<Vec<String>> {
    let stack = format!("{}/{}", super::STACK_NAMESPACE, super::STACK);
    let script = format!("cd /data/{BUCKET} && find . -type d -path '*/{what}/*' | sed 's|.*/||' | sort");
    let found = country.run_in(NAMESPACE, POD, &["sh", "-c", &script], "");
    let found = found.with_context(|| format!("listing backups of {what} of {stack}"))?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// As the catalogue's entry runs it. A folder is a bucket.
fn pod() -> Value {
    let own = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let data = json!([{ "name": "data", "mountPath": "/data" }]);
    let folder = format!("/data/{BUCKET}");
    json!({
        "metadata": { "name": POD, "labels": { "app": POD } },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "initContainers": [{
                "name": "bucket", "image": IMAGE, "command": ["mkdir", "-p", folder], "securityContext": own, "volumeMounts": data,
            }],
            "containers": [{
                "name": "main", "image": IMAGE, "securityContext": own, "volumeMounts": data, "ports": [{ "containerPort": PORT }],
                "env": [
                    { "name": "ROOT_ACCESS_KEY_ID", "value": KEYS.0 }, { "name": "ROOT_SECRET_ACCESS_KEY", "value": KEYS.1 },
                    { "name": "VGW_BACKEND", "value": "posix" }, { "name": "VGW_BACKEND_ARG", "value": "/data" },
                    { "name": "VGW_REGION", "value": "us-east-1" },
                ],
            }],
            "volumes": [{ "name": "data", "emptyDir": {} }],
        },
    })
}
