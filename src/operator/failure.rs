//! What an answer of the API server means for a process.

use crate::workload::Failure;

/// Something is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What the condition says.
    pub failure: Failure,
    /// Trying again helps only once something has changed.
    pub is_permanent: bool,
}

impl Trouble {
    /// Something that only a change mends.
    pub fn permanent(reason: &'static str, message: impl Into<String>) -> Self {
        Self { failure: Failure { reason, message: message.into() }, is_permanent: true }
    }

    /// Something that may mend itself.
    pub fn passing(reason: &'static str, message: impl Into<String>) -> Self {
        Self { failure: Failure { reason, message: message.into() }, is_permanent: false }
    }

    /// What the API server, or the way to it, says of one object.
    pub fn of(object: &str, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::passing("ApplyFailed", format!("{object}: {error}"));
        };
        let message = format!("{object}: {}", status.message);
        let has = |words: &str| status.message.contains(words);
        match status.code {
            _ if has("violates PodSecurity") => Self::permanent("PodSecurityViolation", message),
            422 if has("port is already allocated") => Self::permanent("PortTaken", message),
            422 | 400 => Self::permanent("ApplyFailed", message),
            403 => Self::permanent("Forbidden", message),
            _ => Self::passing("ApplyFailed", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn trouble(code: u16, message: &str) -> (&'static str, bool) {
        let status = Status { code, message: message.into(), ..Status::default() };
        let Trouble { failure, is_permanent } = Trouble::of("Service cam-media", &kube::Error::Api(status.boxed()));
        (failure.reason, is_permanent)
    }

    #[test]
    fn what_only_a_change_mends_is_told_from_what_passes() {
        assert_eq!(trouble(422, "spec.ports[0].nodePort: provided port is already allocated"), ("PortTaken", true));
        assert_eq!(trouble(422, "spec.selector: field is immutable"), ("ApplyFailed", true));
        assert_eq!(
            trouble(403, "pods \"x\" is forbidden: violates PodSecurity \"restricted\""),
            ("PodSecurityViolation", true)
        );
        assert_eq!(trouble(403, "services is forbidden: user cannot patch"), ("Forbidden", true));
        assert_eq!(trouble(409, "the object has been modified"), ("ApplyFailed", false));
        assert_eq!(trouble(500, "etcdserver: request timed out"), ("ApplyFailed", false));
    }
}
