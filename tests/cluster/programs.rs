//! Where a control plane comes from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What the programs are called in every folder that holds them.
pub const ETCD: &str = "etcd";
pub const API_SERVER: &str = "kube-apiserver";
pub const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub const SCHEDULER: &str = "kube-scheduler";
pub const KUBECTL: &str = "kubectl";
pub const KWOK: &str = "kwok";

/// The kubeconfig of a running cluster, which `KUBECONFIG` names.
pub fn given_cluster() -> Option<PathBuf> {
    std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A folder with programs: the one that `KUBEBUILDER_ASSETS` names (`setup-envtest` fills such folders; they have no
/// controllers), else the one that `tools/build` fills, at once where it has done so before. The error says why there is
/// none.
pub fn folder() -> Result<&'static Path, &'static str> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match std::env::var_os("KUBEBUILDER_ASSETS") {
        Some(folder) if !folder.is_empty() => Ok(folder.into()),
        _ => build(),
    });
    folder.as_deref().map_err(String::as_str)
}

fn build() -> Result<PathBuf, String> {
    /// Exit code of the script where there is nothing to build with.
    const NO_GO: i32 = 3;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/tools/build");
    let output = Command::new(script).output().expect("the script is there");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim_end().into()),
        Some(NO_GO) => Err(said.trim_end().into()),
        _ => panic!("the control plane cannot be built: {said}"),
    }
}
