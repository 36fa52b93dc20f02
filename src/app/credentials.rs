//! Who may log in and what signs tokens: from the configuration, else made at the first start and remembered.

use std::path::Path;

use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::args;
use crate::source::{self, Place};

/// Name of the file within the directory of what the program must remember.
const FILE: &str = "credentials.json";

/// What the program made for itself at its first start.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Id of this installation.
    pub id: String,
    /// Name to log in with.
    pub username: String,
    /// Password to log in with.
    pub password: String,
    /// Secret that signs tokens.
    pub jwt_secret: String,
    /// Password for those who write below `/memfs`; files of versions that had no such thing lack it.
    #[serde(default)]
    pub memory_password: Option<String>,
}

/// What holds at this start.
pub struct Credentials {
    /// Id of this installation.
    pub id: String,
    /// Name to log in with.
    pub username: String,
    /// Password to log in with.
    pub password: String,
    /// Secret that signs tokens.
    pub jwt_secret: String,
    /// Password that was made for those who write below `/memfs`.
    pub memory_password: String,
    /// The password is the one that the program made, and stands in this file.
    pub password_file: Option<String>,
}

/// Reads what is remembered, or makes and stores it; what the configuration gives comes first.
pub fn load(config: &args::Credentials) -> anyhow::Result<Credentials> {
    let args::Credentials { db_dir, api_auth_username, api_auth_password, api_auth_jwt_secret } = config;
    let path = db_dir.join(FILE);
    let mut stored = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: mend it, or remove it to have a new one made", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read (CORE_DB_DIR)", path.display()));
        }
    };
    if stored.memory_password.is_none() {
        stored.memory_password = Some(random(24));
        store(db_dir, &path, &stored)?;
    }
    let Stored { id, username, password, jwt_secret, memory_password: made } = stored;
    Ok(Credentials {
        id,
        username: api_auth_username.clone().unwrap_or(username),
        password_file: api_auth_password.is_none().then(|| path.display().to_string()),
        password: api_auth_password.clone().unwrap_or(password),
        jwt_secret: api_auth_jwt_secret.clone().unwrap_or(jwt_secret),
        memory_password: made.unwrap_or_default(),
    })
}

fn make() -> Stored {
    Stored {
        id: uuid::Uuid::new_v4().to_string(),
        username: "admin".into(),
        password: random(24),
        jwt_secret: random(48),
        memory_password: None,
    }
}

fn store(directory: &Path, path: &Path, stored: &Stored) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(stored).context("credentials are JSON")? + "\n";
    source::place(directory, FILE, text.as_bytes(), Place::Any).with_context(|| {
        format!("{} cannot be written: make the directory writable, or name another one (CORE_DB_DIR)", path.display())
    })
}

/// Letters and digits of the system's secure random source.
pub fn random(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(directory: &Path) -> args::Credentials {
        args::Credentials {
            db_dir: directory.join("config"),
            api_auth_username: None,
            api_auth_password: None,
            api_auth_jwt_secret: None,
        }
    }

    #[test]
    fn what_is_made_at_the_first_start_is_remembered_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path());
        let first = load(&config).expect("it is made");
        let second = load(&config).expect("it is read");
        assert_eq!((&first.password, &first.jwt_secret, &first.id), (&second.password, &second.jwt_secret, &second.id));
        assert!(first.password.len() == 24 && first.jwt_secret.len() == 48);
        assert!(first.memory_password.len() == 24 && first.memory_password == second.memory_password);
        let path = config.db_dir.join(FILE);
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(first.password_file, Some(path.display().to_string()));
    }

    #[test]
    fn the_configuration_comes_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        config.api_auth_password = Some("mine".into());
        config.api_auth_jwt_secret = Some("0123456789abcdef".into());
        let loaded = load(&config).expect("it is made");
        assert_eq!((loaded.password.as_str(), loaded.jwt_secret.as_str()), ("mine", "0123456789abcdef"));
        assert_eq!(loaded.password_file, None);
    }

    #[test]
    fn a_file_of_a_version_without_memory_files_gets_their_password_and_keeps_the_rest() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path());
        std::fs::create_dir(&config.db_dir).expect("made");
        let old = r#"{"id": "i", "username": "u", "password": "p", "jwt_secret": "s"}"#;
        std::fs::write(config.db_dir.join(FILE), old).expect("written");
        let first = load(&config).expect("it is read");
        assert_eq!((first.id.as_str(), first.username.as_str(), first.password.as_str()), ("i", "u", "p"));
        assert_eq!(load(&config).expect("it is read").memory_password, first.memory_password);
    }

    #[test]
    fn a_damaged_file_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path());
        std::fs::create_dir(&config.db_dir).expect("made");
        std::fs::write(config.db_dir.join(FILE), "{").expect("written");
        let error = load(&config).err().expect("it is damaged").to_string();
        assert!(error.contains(FILE) && error.contains("remove it"), "{error}");
    }
}
