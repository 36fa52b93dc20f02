//! What everything is called that operator and worker Pod agree on.

/// Field manager of everything that the operator applies.
pub const MANAGER: &str = "dragonfork-operator";
/// Annotation of a process: `"true"` makes the operator leave its objects alone.
pub const PAUSED: &str = "restream.wilddragon.net/paused";
/// Annotation of a process: another value makes a new Pod.
pub const RESTART_AT: &str = "restream.wilddragon.net/restart-at";
/// Annotation of a Deployment: what its Pod template was made from.
pub const TEMPLATE_HASH: &str = "restream.wilddragon.net/template-hash";

/// The sidecar with the gateway.
pub const GATEWAY_CONTAINER: &str = "whep";
/// The container that runs FFmpeg.
pub const RUNNER_CONTAINER: &str = "runner";
/// WHEP over HTTP, in the sidecar.
pub const HTTP_PORT: u16 = 8080;
/// Status and API of the runner, for the operator.
pub const STATUS_PORT: u16 = 9080;
/// The media port in the Pod, where it need not be another one.
pub const MEDIA_PORT: u16 = 8189;
/// Loopback port of the picture's leg in the Pod; the sound's is the next one.
pub const LEG_PORT: u16 = 5004;

/// Where the ConfigMap is mounted, in both containers.
pub const CONFIGURATION_DIR: &str = "/etc/dragonfork/process";
/// Where the values of Secrets and ConfigMaps are mounted: `<name>/<key>`.
pub const SECRETS_DIR: &str = "/etc/dragonfork/secrets";
/// The gateway's control socket, in a volume that both containers have.
pub const CONTROL_SOCKET: &str = "/run/dragonfork/gateway.sock";
