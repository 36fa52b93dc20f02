//! A Pod without a kubelet: what its spec says of the containers, run as local processes in a network namespace of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec, Volume};
use kube::api::Api;
use kube::{Client, ResourceExt};
use rustix::process::{Pid, Signal, kill_process};

use crate::child::{Child, PATIENCE, descendants, is_alive};

/// Whether network namespaces can be made here. Says so where not, and that is a failure where `CI` is set.
pub fn can_be_made() -> bool {
    let made = Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).output();
    let can = made.is_ok_and(|output| output.status.success());
    if !can {
        let thread = std::thread::current();
        let said = format!("NOT RUN: {}: namespaces need root\n", thread.name().unwrap_or("a test"));
        assert!(std::env::var_os("CI").is_none(), "{said}");
        std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).expect("standard error is open");
    }
    can
}

/// A Pod that runs here; it ends with this value.
pub struct LocalPod {
    network: Network,
    folder: tempfile::TempDir,
    spec: PodSpec,
    containers: BTreeMap<String, Child>,
}

impl LocalPod {
    /// Makes its network and its volumes; no container runs yet.
    pub async fn new(client: Client, pod: &Pod) -> Self {
        let spec = pod.spec.clone().expect("every Pod has a spec");
        let folder = tempfile::Builder::new().prefix("dragonfork-pod-").tempdir().expect("a folder can be made");
        let namespace = pod.namespace().expect("every Pod has a namespace");
        let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
        for volume in spec.volumes.iter().flatten() {
            make_volume(folder.path(), volume, &maps).await;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { network: Network::new(), folder, spec, containers: BTreeMap::new() }
    }

    /// The address of the Pod.
    pub fn address(&self) -> Ipv4Addr {
        self.network.address
    }

    /// Starts a container, again where it has ended.
    pub fn start(&mut self, name: &str) {
        let sides = self.spec.init_containers.iter().flatten().chain(&self.spec.containers);
        let container = sides.into_iter().find(|container| container.name == name).expect("the Pod has it").clone();
        self.containers.remove(name);
        let child = self.run(&container);
        self.containers.insert(name.to_owned(), child);
    }

    fn run(&self, container: &Container) -> Child {
        let root = self.folder.path().join(format!("root-{}", container.name));
        fs::create_dir_all(&root).expect("the folder can be written");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.network.name))
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c"])
            .args([include_str!("container.sh"), "container"])
            .arg(&root);
        for mount in container.volume_mounts.iter().flatten() {
            let read_only = if mount.read_only == Some(true) { ":ro" } else { "" };
            command.arg(format!("{}:{}{read_only}", self.volume(&mount.name).display(), mount.mount_path));
        }
        command.arg(format!("{}:/opt/dragonfork:ro", env!("CARGO_BIN_EXE_dragonfork")));
        // The name of the image's program; where it is found is the image's business.
        let mut words = container.command.iter().flatten().chain(container.args.iter().flatten());
        assert_eq!(words.next().map(String::as_str), Some("dragonfork"));
        command.args(["--", "/opt/dragonfork"]).args(words);
        let security = self.spec.security_context.as_ref().expect("it has one");
        let (user, group) = (security.run_as_user.expect("it is said"), security.run_as_group.expect("it is said"));
        command
            .env_clear()
            .env("CONTAINER_USER", format!("{user}:{group}"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, variable.value.as_deref().expect("the operator writes values alone"));
        }
        Child::start(&container.name, &mut command, self.folder.path())
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join("volumes").join(name)
    }

    /// Process id of the program in a container.
    pub fn program(&self, container: &str) -> u32 {
        let chain = descendants(self.containers[container].id());
        let programs = chain.into_iter().filter(|id| {
            fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim_end() == "dragonfork")
        });
        programs.into_iter().next().unwrap_or_else(|| panic!("{container} runs: {}", self.log(container)))
    }

    /// Sends a signal to the program in a container, as a kubelet does.
    pub fn signal(&self, container: &str, signal: Signal) {
        let id = Pid::from_raw(self.program(container).cast_signed()).expect("it is no 0");
        kill_process(id, signal).expect("it is ours");
    }

    /// Waits for the end of a container; its exit code.
    pub async fn ended(&mut self, container: &str) -> Option<i32> {
        let child = self.containers.get_mut(container).expect("it was started");
        child.end_within(PATIENCE).await.and_then(|status| status.code())
    }

    /// What a container has printed.
    pub fn log(&self, container: &str) -> String {
        self.containers[container].log()
    }

    /// Waits until a container answers `GET /ping`, as a probe does.
    pub async fn until_answers(&self, port: u16) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}:{port}/ping", self.address());
        let deadline = std::time::Instant::now() + PATIENCE;
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            let logs: String = self.containers.values().map(Child::log).collect();
            assert!(std::time::Instant::now() < deadline, "{url} is not answered: {logs}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Brings a new content of a ConfigMap into its volume, as a kubelet does after a while.
    pub fn sync(&self, volume: &str, map: &ConfigMap) {
        write_map(&self.volume(volume), map);
    }
}

impl Drop for LocalPod {
    fn drop(&mut self) {
        let started: Vec<u32> = self.containers.values().flat_map(|child| descendants(child.id())).collect();
        self.containers.clear();
        assert!(!started.iter().any(|id| is_alive(*id)), "containers end with their Pod");
    }
}

async fn make_volume(folder: &Path, volume: &Volume, maps: &Api<ConfigMap>) {
    let path = folder.join("volumes").join(&volume.name);
    fs::create_dir_all(&path).expect("the folder can be written");
    if let Some(source) = &volume.config_map {
        let map = maps.get(&source.name).await.expect("the ConfigMap is there before its Pod");
        write_map(&path, &map);
    } else {
        // Values of Secrets and ConfigMaps are optional, and there are none; the rest is to be written by the Pod.
        assert!(volume.empty_dir.is_some() || volume.projected.is_some(), "{volume:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
}

/// As a kubelet does: files are links into a folder that is exchanged as a whole.
fn write_map(path: &Path, map: &ConfigMap) {
    static VERSION: AtomicU32 = AtomicU32::new(0);
    let version = format!("..{}", VERSION.fetch_add(1, Ordering::Relaxed));
    fs::create_dir(path.join(&version)).expect("the folder can be written");
    for (key, text) in map.data.iter().flatten() {
        fs::write(path.join(&version).join(key), text).expect("the folder can be written");
        if !path.join(key).is_symlink() {
            symlink(format!("..data/{key}"), path.join(key)).expect("the folder can be written");
        }
    }
    symlink(&version, path.join("..data_tmp")).expect("the folder can be written");
    fs::rename(path.join("..data_tmp"), path.join("..data")).expect("the folder can be written");
}

/// A network namespace with one address, which this machine reaches.
struct Network {
    name: String,
    link: String,
    address: Ipv4Addr,
}

impl Network {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Test binaries of other checkouts may run beside this one.
        let number = (std::process::id() % 2048) * 8 + COUNT.fetch_add(1, Ordering::Relaxed) % 8;
        let [_, _, high, low] = (number * 4).to_be_bytes();
        let network = Self {
            name: format!("dragonfork-{number}"),
            link: format!("df{number}"),
            address: Ipv4Addr::new(10, 213, high, low | 2),
        };
        let Self { name, link, address } = &network;
        let here = Ipv4Addr::new(10, 213, high, low | 1);
        ip(&format!("netns add {name}"));
        ip(&format!("link add {link} type veth peer name eth0 netns {name}"));
        ip(&format!("addr add {here}/30 dev {link}"));
        ip(&format!("link set {link} up"));
        ip(&format!("-n {name} addr add {address}/30 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} route add default via {here}"));
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with the namespace, a moment later.
        let _ = Command::new("ip").args(["link", "del", &self.link]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
