//! Configuration of `dragonfork operator`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{Logging, ice_server, listen_address, not_empty, viewers};
use crate::crd::{ExposureType, GatewayRef, HttpType};

/// Configuration of `dragonfork operator`.
#[derive(Debug, Args)]
pub struct Operator {
    /// Address of the HTTP interface, of health, readiness and figures.
    #[arg(long, env = "CORE_ADDRESS", default_value = ":8080", value_parser = listen_address)]
    pub address: SocketAddr,
    /// Comma list of namespaces whose processes are looked after; default: all.
    #[arg(long, env = "CORE_OPERATOR_NAMESPACES", value_delimiter = ',', value_parser = element, value_name = "NAME,…")]
    pub namespaces: Vec<String>,
    /// Read the addresses of nodes, for viewers from outside; needs a ClusterRole.
    #[arg(long, env = "CORE_OPERATOR_NODES", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub nodes: bool,
    /// Work only while holding the Lease `dragonfork-operator`, so that several operators may run.
    #[arg(long, env = "CORE_OPERATOR_LEADER_ELECTION", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub leader_election: bool,
    /// Processes that are reconciled at a time.
    #[arg(long, env = "CORE_OPERATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub concurrency: u16,
    /// Directory of what the program must remember: the signing key.
    #[arg(long, env = "CORE_DB_DIR", default_value = "./config", value_name = "DIR")]
    pub db_dir: PathBuf,
    /// File with the Ed25519 key (PKCS#8, PEM) that signs tokens for workers; default: made and stored at the first start.
    #[arg(long, env = "CORE_OPERATOR_SIGNING_KEY", value_name = "PATH")]
    pub signing_key: Option<PathBuf>,
    /// Image of the worker Pods: this program and FFmpeg.
    #[arg(long, env = "CORE_OPERATOR_IMAGE", value_parser = not_empty, value_name = "IMAGE")]
    pub image: String,
    /// When it is pulled; default: as Kubernetes does.
    #[arg(long, env = "CORE_OPERATOR_IMAGE_PULL_POLICY", value_name = "POLICY")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Comma list of Secrets that open the registry, in the namespace of each process.
    #[arg(long, env = "CORE_OPERATOR_IMAGE_PULL_SECRETS", value_delimiter = ',', value_parser = element, value_name = "NAME,…")]
    pub image_pull_secrets: Vec<String>,
    /// Comma list of beginnings of images that a manifest may name; default: every image.
    #[arg(long, env = "CORE_OPERATOR_ALLOWED_IMAGES", value_delimiter = ',', value_parser = element, value_name = "PREFIX,…")]
    pub allowed_images: Vec<String>,
    /// How viewers reach the media port, where a manifest says nothing.
    #[arg(long, env = "CORE_OPERATOR_EXPOSURE", default_value = "NodePort", value_parser = exposure, value_name = "TYPE")]
    pub exposure: ExposureType,
    /// Comma list of exposures that a manifest may ask for; default: every one.
    #[arg(long, env = "CORE_OPERATOR_ALLOWED_EXPOSURES", value_delimiter = ',', value_parser = exposure, value_name = "TYPE,…")]
    pub allowed_exposures: Vec<ExposureType>,
    /// How players reach the WHEP endpoint, where a manifest says nothing.
    #[arg(long = "http", env = "CORE_OPERATOR_HTTP", default_value = "ServiceOnly", value_parser = http, value_name = "TYPE")]
    pub http: HttpType,
    /// Host of Ingresses and HTTPRoutes, where a manifest says nothing.
    #[arg(long, env = "CORE_OPERATOR_HOST", value_parser = not_empty, value_name = "HOST")]
    pub host: Option<String>,
    /// The Ingress controller, where a manifest says nothing.
    #[arg(long, env = "CORE_OPERATOR_INGRESS_CLASS", value_parser = not_empty, value_name = "NAME")]
    pub ingress_class: Option<String>,
    /// The Gateway of HTTPRoutes, where a manifest says nothing.
    #[arg(long, env = "CORE_OPERATOR_GATEWAY", value_parser = gateway, value_name = "NAMESPACE/NAME")]
    pub gateway: Option<GatewayRef>,
    /// Port of the worker's own HTTP.
    #[arg(long, env = "CORE_OPERATOR_WORKER_PORT", default_value_t = crate::workload::STATUS_PORT, hide = true, value_name = "PORT")]
    pub worker_port: u16,
    /// Comma list of `stun:` and `turn:` URLs for the Link headers of WHEP.
    #[arg(long, env = "CORE_WEBRTC_ICE_SERVERS", value_delimiter = ',', value_parser = ice_server, value_name = "URL,…")]
    pub webrtc_ice_servers: Vec<String>,
    /// Viewers of one process whose manifest says nothing.
    #[arg(long, env = "CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", default_value_t = 8, value_parser = viewers(), value_name = "N")]
    pub webrtc_max_viewers_per_stream: u32,
    /// Name to log in with; default: `admin`.
    #[arg(long, env = "CORE_API_AUTH_USERNAME", value_parser = not_empty)]
    pub api_auth_username: Option<String>,
    /// Password to log in with; default: one that is made and stored at the first start.
    #[arg(long, env = "CORE_API_AUTH_PASSWORD", hide_env_values = true, value_parser = not_empty)]
    pub api_auth_password: Option<String>,
    /// File with the password, such as one of a mounted Secret; it wins over the password itself.
    #[arg(long, env = "CORE_API_AUTH_PASSWORD_FILE", value_name = "PATH")]
    pub api_auth_password_file: Option<PathBuf>,
    /// The API and the workers ask for a token.
    #[arg(long, env = "CORE_API_AUTH_ENABLE", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub api_auth_enable: bool,
    /// What is logged.
    #[command(flatten)]
    pub logging: Logging,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// For every Pod.
    #[value(name = "Always")]
    Always,
    /// Where the node does not have it.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// Never.
    #[value(name = "Never")]
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// An element of a list. A variable that is set and empty is a list of one empty element.
fn element(text: &str) -> Result<String, String> {
    Ok(text.trim().to_owned())
}

fn word<T: serde::de::DeserializeOwned>(text: &str, all: &[&str]) -> Result<T, String> {
    serde_json::from_value(text.trim().into()).map_err(|_| format!("is none of {}", all.join(", ")))
}

fn exposure(text: &str) -> Result<ExposureType, String> {
    word(text, &["NodePort", "HostPort", "HostNetwork", "LoadBalancer", "Relay", "ClusterOnly"])
}

fn http(text: &str) -> Result<HttpType, String> {
    word(text, &["Ingress", "HttpRoute", "ServiceOnly"])
}

fn gateway(text: &str) -> Result<GatewayRef, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(GatewayRef { name: name.into(), namespace: Some(namespace.into()), section_name: None })
        }
        _ => Err("is no NAMESPACE/NAME".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Command, Mode};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Operator, clap::Error> {
        let whole = ["dragonfork", "operator"].iter().chain(arguments);
        Command::try_parse_from(whole).map(|command| match command.mode {
            Mode::Operator(operator) => *operator,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_image_is_needed_and_everything_else_has_a_default() {
        let message = parse(&[]).expect_err("it is refused").to_string();
        assert!(message.contains("--image"), "{message}");
        let operator = parse(&["--image", "registry.example/dragonfork:1"]).expect("it is read");
        assert!(operator.leader_election && operator.nodes && operator.namespaces.is_empty());
        assert_eq!((operator.exposure, operator.http), (ExposureType::NodePort, HttpType::ServiceOnly));
    }

    #[test]
    fn words_of_kubernetes_are_taken_as_kubernetes_writes_them() {
        let operator = parse(&[
            "--image=i",
            "--exposure=Relay",
            "--allowed-exposures=NodePort,ClusterOnly",
            "--http=HttpRoute",
            "--gateway=infra/public",
            "--image-pull-policy=IfNotPresent",
            "--namespaces=a, b",
        ])
        .expect("it is read");
        assert_eq!(operator.allowed_exposures, [ExposureType::NodePort, ExposureType::ClusterOnly]);
        assert_eq!(
            operator.gateway.map(|gateway| (gateway.namespace, gateway.name)),
            Some((Some("infra".into()), "public".into()))
        );
        assert_eq!(operator.namespaces, ["a", "b"]);
        for arguments in
            [["--exposure=nodeport"], ["--http=Nginx"], ["--gateway=public"], ["--image-pull-policy=never"]]
        {
            let message = parse(&[&["--image=i"][..], &arguments].concat()).expect_err("it is refused").to_string();
            assert!(message.contains("invalid value"), "{message}");
        }
    }
}
