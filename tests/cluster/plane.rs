//! A control plane that runs: etcd and API server, and as much more as a test asks for.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::http::Request;
use dragonfork::crd::RestreamProcess;
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Node, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, Config, CustomResourceExt, Resource};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::child::{Child, free_port};
use crate::programs::{API_SERVER, CONTROLLER_MANAGER, ETCD, KUBECTL, KWOK, SCHEDULER};
use crate::{keeper, programs};

/// How long a test waits for what a control plane does; it shares the machine with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Name of the node that kwok plays.
pub const NODE: &str = "fake";

/// What a test needs of a control plane; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum With {
    /// The API server and its etcd. Ready in about 3 s.
    ApiServer,
    /// Controllers and scheduler: Deployments make Pods, owners take what they own with them.
    Controllers,
    /// A node, where Pods become Ready.
    Node,
}

/// The control plane that the tests of this binary share: each has namespaces of its own there. `None` where there is
/// none to be had, which has been said then.
pub async fn shared(with: With) -> Option<&'static Plane> {
    static SHARED: OnceCell<Plane> = OnceCell::const_new();
    if let Some(kubeconfig) = programs::given_cluster() {
        return Some(SHARED.get_or_init(|| async { Plane { kubeconfig, own: None } }).await);
    }
    let programs = programs_for(with)?;
    let plane = SHARED.get_or_init(|| Plane::start(programs)).await;
    plane.bring(with).await;
    Some(plane)
}

/// A control plane of one test, whose API server can be taken away. It ends with this value.
pub async fn own(with: With) -> Option<Plane> {
    let plane = Plane::start(programs_for(with)?).await;
    plane.bring(with).await;
    Some(plane)
}

/// The folder with the programs, where it has all that are needed. Says so where not, and that is a failure where `CI`
/// is set: there everything has to run.
pub fn programs_for(with: With) -> Option<&'static Path> {
    let needed: &[&str] = match with {
        With::ApiServer => &[ETCD, API_SERVER, KUBECTL],
        With::Controllers => &[ETCD, API_SERVER, KUBECTL, CONTROLLER_MANAGER, SCHEDULER],
        With::Node => &[ETCD, API_SERVER, KUBECTL, CONTROLLER_MANAGER, SCHEDULER, KWOK],
    };
    let why = match programs::folder() {
        Ok(folder) => match needed.iter().find(|program| !folder.join(program).exists()) {
            None => return Some(folder),
            Some(program) => format!("{} has no {program}", folder.display()),
        },
        Err(why) => why.to_owned(),
    };
    let thread = std::thread::current();
    let said = format!("NOT RUN: {}: {why}\n", thread.name().unwrap_or("a test"));
    assert!(std::env::var_os("CI").is_none(), "{said}");
    // Unlike what macros print, this is seen although the test does not fail.
    std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).expect("standard error is open");
    None
}

/// A control plane: started here, or a cluster that was given.
pub struct Plane {
    kubeconfig: PathBuf,
    own: Option<Own>,
}

/// What runs of a control plane that was started here. It ends in this order.
struct Own {
    kwok: OnceCell<Child>,
    controllers: OnceCell<[Child; 2]>,
    /// `None` while it is away.
    api_server: Option<Child>,
    _etcd: Child,
    programs: &'static Path,
    folder: PathBuf,
    etcd_port: u16,
    port: u16,
}

impl Plane {
    async fn start(programs: &'static Path) -> Self {
        let folder = tempfile::Builder::new().prefix("plane-").tempdir_in(keeper::folder()).expect("it is ours").keep();
        let (etcd_port, port) = (free_port(), free_port());
        write_credentials(&folder, port);
        let etcd = keeper::start(ETCD, etcd(programs, &folder, etcd_port), &folder);
        let (kwok, controllers) = (OnceCell::new(), OnceCell::new());
        let kubeconfig = folder.join("kubeconfig");
        let own = Own { kwok, controllers, api_server: None, _etcd: etcd, programs, folder, etcd_port, port };
        let mut plane = Self { kubeconfig, own: Some(own) };
        plane.start_api_server().await;
        plane
    }

    /// Starts what is not there yet. A cluster that was given has it.
    async fn bring(&self, with: With) {
        let Some(own) = &self.own else { return };
        if with >= With::Controllers {
            own.controllers.get_or_init(|| self.start_controllers(own)).await;
        }
        if with >= With::Node {
            own.kwok.get_or_init(|| self.start_kwok(own)).await;
        }
    }

    /// Starts the API server, again after [`stop_api_server`](Self::stop_api_server), and waits until it is ready. It
    /// has the same address and knows what it knew.
    pub async fn start_api_server(&mut self) {
        let own = self.own.as_mut().expect("it was started here");
        let command = api_server(own);
        own.api_server = Some(keeper::start(API_SERVER, command, &own.folder));
        let client = self.client_that(|config| config.default_retry = false).await;
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(&client).await {
            let server = self.own.as_mut().and_then(|own| own.api_server.as_mut()).expect("it was started");
            assert!(server.ended().is_none(), "the API server ended: {}", server.log());
            assert!(Instant::now() < deadline, "the API server is not ready within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills the API server: connections are refused until it is started again.
    pub fn stop_api_server(&mut self) {
        self.own.as_mut().expect("it was started here").api_server = None;
    }

    /// Halts the API server: connections are accepted, and nothing is answered until this value is dropped.
    pub fn pause_api_server(&mut self) -> Paused<'_> {
        let server = self.own.as_ref().and_then(|own| own.api_server.as_ref()).expect("it runs");
        server.signal(Signal::STOP);
        Paused(server)
    }

    async fn start_controllers(&self, own: &Own) -> [Child; 2] {
        let mut manager = Command::new(own.programs.join(CONTROLLER_MANAGER));
        manager.args([
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--root-ca-file={}", own.folder.join("ca.crt").display()),
            format!("--service-account-private-key-file={}", own.folder.join("accounts.key").display()),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            // Whole namespaces are collected, and tests wait for it.
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ]);
        let mut scheduler = Command::new(own.programs.join(SCHEDULER));
        scheduler.args([
            &format!("--kubeconfig={}", self.kubeconfig.display()),
            "--leader-elect=false",
            "--secure-port=0",
        ]);
        let children =
            [keeper::start(CONTROLLER_MANAGER, manager, &own.folder), keeper::start(SCHEDULER, scheduler, &own.folder)];
        self.account("default").await;
        children
    }

    async fn start_kwok(&self, own: &Own) -> Child {
        let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/node.yaml");
        let mut kwok = Command::new(own.programs.join(KWOK));
        kwok.env("KWOK_WORKDIR", &own.folder).args([
            &format!("--kubeconfig={}", self.kubeconfig.display()),
            &format!("--config={}", stages.display()),
            "--manage-all-nodes",
            "--cidr=10.244.0.1/16",
            "--node-ip=127.0.0.1",
            "--node-lease-duration-seconds=40",
        ]);
        let kwok = keeper::start(KWOK, kwok, &own.folder);
        let nodes: Api<Node> = Api::all(self.client().await);
        let node = json!({"metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}});
        let node = serde_json::from_value(node).expect("it is a node");
        nodes.create(&PostParams::default(), &node).await.expect("a node can be made");
        wait_for("the node is ready", nodes, NODE, |node: Option<&Node>| {
            let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
            conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
        .await;
        kwok
    }

    /// Waits for the account that Pods of a namespace need.
    async fn account(&self, namespace: &str) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        wait_for("the account of a namespace", accounts, "default", conditions::is_created()).await;
    }

    /// Whether it is a cluster that was given, with nodes of its own.
    pub fn is_given(&self) -> bool {
        self.own.is_none()
    }

    /// File with address and credentials of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client of an administrator. It lives in the runtime of the test that calls this.
    pub async fn client(&self) -> Client {
        self.client_that(|_| ()).await
    }

    async fn client_that(&self, change: impl FnOnce(&mut Config)) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("it is a kubeconfig");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("it has what is needed");
        change(&mut config);
        Client::try_from(config).expect("the credentials can be read")
    }

    /// `kubectl` for this control plane; the one on the PATH for a cluster that was given.
    pub fn kubectl(&self) -> Command {
        let program = self.own.as_ref().map_or(KUBECTL.into(), |own| own.programs.join(KUBECTL));
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.kubeconfig()).env("KUBECACHEDIR", keeper::folder().join("kubectl"));
        command
    }

    /// A namespace of the caller's own, which goes with this value.
    pub async fn namespace(&self) -> Namespace<'_> {
        let namespaces: Api<NamespaceObject> = Api::all(self.client().await);
        let new = serde_json::from_value(json!({"metadata": {"generateName": "test-"}})).expect("it is a namespace");
        let made = namespaces.create(&PostParams::default(), &new).await.expect("a namespace can be made");
        let name = made.metadata.name.expect("everything has a name");
        if self.own.as_ref().is_none_or(|own| own.controllers.initialized()) {
            self.account(&name).await;
        }
        Namespace { plane: self, name }
    }

    /// Makes the API server know our resource, as committed to `crds/`.
    pub async fn define(&self) {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client().await);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/restreamprocesses.yaml");
        let text = fs::read_to_string(file).expect("it is there");
        let definition: CustomResourceDefinition = serde_yaml::from_str(&text).expect("it is one");
        let parameters = PatchParams::apply("tests").force();
        let name = RestreamProcess::crd_name();
        definitions.patch(name, &parameters, &Patch::Apply(&definition)).await.expect("the definition is accepted");
        wait_for("the definition is established", definitions, name, conditions::is_crd_established()).await;
    }
}

/// An API server that answers nothing.
pub struct Paused<'p>(&'p Child);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

/// A namespace, which goes with this value and takes everything in it with it.
pub struct Namespace<'p> {
    plane: &'p Plane,
    pub name: String,
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        /// The API server may be away.
        const SHORT: Duration = Duration::from_secs(5);
        let delete = async {
            let namespaces: Api<NamespaceObject> = Api::all(self.plane.client().await);
            let _ = tokio::time::timeout(SHORT, namespaces.delete(&self.name, &DeleteParams::default())).await;
        };
        // The runtime of the test cannot wait here.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be made").block_on(delete);
            });
        });
    }
}

/// Waits until a condition holds for an object; says what did not come when it takes too long.
pub async fn wait_for<K>(what: &str, api: Api<K>, name: &str, condition: impl Condition<K>)
where
    K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    let waited = tokio::time::timeout(PATIENCE, await_condition(api, name, condition)).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}")).expect("it can be watched");
}

async fn is_ready(client: &Client) -> bool {
    let request = Request::get("/readyz").body(Vec::new()).expect("it is well-formed");
    let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
    matches!(answer, Ok(Ok(text)) if text == "ok")
}

/// Authority, certificate and keys of the API server, the token of an administrator, and a kubeconfig with it.
fn write_credentials(folder: &Path, port: u16) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the folder can be written");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("keys can be made"))
        .expect("an authority signs itself");
    let server = CertificateParams::new(["127.0.0.1".into(), "localhost".into()]).expect("these are names");
    let key = KeyPair::generate().expect("keys can be made");
    let certificate = server.signed_by(&key, &authority).expect("an authority signs");
    write("ca.crt", &authority.pem());
    write("server.crt", &certificate.pem());
    write("server.key", &key.serialize_pem());
    // What the tokens of service accounts are signed with.
    let accounts = KeyPair::generate().expect("keys can be made");
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
    let token = uuid::Uuid::new_v4();
    write("tokens.csv", &format!("{token},administrator,administrator,system:masters\n"));
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{"name": "administrator", "user": {"token": token.to_string()}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "administrator"}}],
        "current-context": "tests",
    });
    write("kubeconfig", &kubeconfig.to_string());
}

fn etcd(programs: &Path, folder: &Path, port: u16) -> Command {
    let [clients, peers] = [port, free_port()].map(|port| format!("http://127.0.0.1:{port}"));
    let mut command = Command::new(programs.join(ETCD));
    command.args([
        format!("--data-dir={}", folder.join("data").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        "--log-level=warn".into(),
        // Nothing of it outlives the machine.
        "--unsafe-no-fsync".into(),
    ]);
    command
}

fn api_server(own: &Own) -> Command {
    let file = |name: &str| own.folder.join(name).display().to_string();
    let mut command = Command::new(own.programs.join(API_SERVER));
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{}", own.etcd_port),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", own.port),
        "--advertise-address=127.0.0.1".into(),
        // The address of the service `kubernetes` cannot be on loopback.
        "--endpoint-reconciler-type=none".into(),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--profiling=false".into(),
    ]);
    command
}
