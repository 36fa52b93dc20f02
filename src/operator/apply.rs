//! Objects are applied where they are not as they should be, and only there.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Context;
use super::failure::Trouble;
use super::key::Key;
use super::kind::Kind;
use super::known::{APPLIED_HASH, Child};
use super::notices::Notice;
use super::ownership;
use super::record::tell;
use crate::crd::RestreamProcess;
use crate::workload::{MANAGER, sha256};

/// Foreign parts of a Pod template are replaced so often within this time; then somebody puts them there again and again.
const REPLACEMENTS: (u32, Duration) = (2, Duration::from_secs(60 * 60));

/// An object as it should be.
pub struct Wish {
    kind: Kind,
    key: Key,
    object: Value,
    hash: String,
}

impl Wish {
    /// An object of a process: with its owner, and with the hash of all of it.
    pub fn new(kind: Kind, object: &impl Serialize, key: &Key, owner: &OwnerReference) -> Self {
        let mut object = serde_json::to_value(object).expect("objects are JSON");
        let owner = serde_json::to_value(owner).expect("a reference is JSON");
        let metadata = &mut object["metadata"];
        metadata["ownerReferences"] = json!([owner]);
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let hash = hash(&object);
        object["metadata"]["annotations"][APPLIED_HASH] = hash.as_str().into();
        Self { kind, key: key.beside(&name), object, hash }
    }

    /// Its kind, and where it is.
    pub fn place(&self) -> (Kind, Key) {
        (self.kind, self.key.clone())
    }

    fn title(&self) -> String {
        format!("{} {}", self.kind.word(), self.key.name)
    }
}

/// 128 bits of SHA-256, in hex.
fn hash(object: &Value) -> String {
    let mut hex = sha256(object.to_string().as_bytes());
    hex.truncate(32);
    hex
}

fn api(cx: &Context, kind: Kind, key: &Key) -> Api<DynamicObject> {
    Api::namespaced_with(cx.client.clone(), &key.namespace, &kind.resource())
}

/// Takes in what the API server has answered.
fn keep(cx: &Context, kind: Kind, key: &Key, object: &DynamicObject) -> Child {
    let mut child = Child::of(&object.metadata, &object.data);
    child.written = Some(Instant::now());
    cx.index.put_child(kind, key.clone(), child.clone());
    child
}

/// Makes an object as it should be.
pub async fn apply(cx: &Context, process: &RestreamProcess, wish: &Wish) -> Result<(), Trouble> {
    let uid = process.metadata.uid.as_deref().unwrap_or_default();
    let known = cx.index.child(wish.kind, &wish.key);
    let owner = match &known {
        Some(child) => Some(child.owner.clone()),
        // It may be there without our label.
        None => api(cx, wish.kind, &wish.key)
            .get_metadata_opt(&wish.key.name)
            .await
            .map_err(|error| Trouble::of(&wish.title(), &error))?
            .map(|object| Child::of(&object.metadata, &Value::Null).owner),
    };
    if owner.is_some_and(|owner| owner.is_none_or(|owner| owner.uid != uid)) {
        let message = format!("{} is there already and not of this process: remove or rename it", wish.title());
        return Err(Trouble::passing("NameTaken", message));
    }
    let was_drift = match known {
        Some(child) if child.hash.as_deref() == Some(&wish.hash) => match lost(cx, wish, &child) {
            None => return mend_foreign(cx, process, wish, &child).await,
            Some(field) => Some(field),
        },
        _ => None,
    };
    let object = write(cx, wish).await?;
    let child = keep(cx, wish.kind, &wish.key, &object);
    // What is not ours right after it was applied, never will be.
    cx.index.verified(wish.kind, &wish.key, child.applied.digest);
    if let Some(field) = was_drift {
        cx.figures.corrected(wish.kind.word());
        let note = format!("{} was changed by somebody else at {field}, and is as before", wish.title());
        tell(cx, process, Notice::warning("DriftCorrected", note)).await;
    }
    mend_foreign(cx, process, wish, &child).await
}

/// The first field that somebody else has changed.
fn lost(cx: &Context, wish: &Wish, child: &Child) -> Option<String> {
    let text = child.applied.text.as_ref()?;
    let fields = serde_json::from_str(text).expect("it was JSON");
    let lost = ownership::lost(&wish.object, &fields);
    if lost.is_none() {
        cx.index.verified(wish.kind, &wish.key, child.applied.digest);
    }
    lost
}

async fn write(cx: &Context, wish: &Wish) -> Result<DynamicObject, Trouble> {
    let word = wish.kind.word();
    let parameters = PatchParams::apply(MANAGER).force();
    let api = api(cx, wish.kind, &wish.key);
    let patch = Patch::Apply(&wish.object);
    let mut answer = api.patch(&wish.key.name, &parameters, &patch).await;
    if let Err(kube::Error::Api(status)) = &answer
        && wish.kind == Kind::Deployment
        && status.code == 422
        && status.message.contains("spec.strategy")
    {
        // Somebody has set a strategy with fields that ours must not have, and applying takes nothing away.
        let strategy = json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}});
        let merge = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        api.patch(&wish.key.name, &merge, &Patch::Merge(&strategy))
            .await
            .map_err(|error| Trouble::of(&wish.title(), &error))?;
        cx.figures.corrected(word);
        answer = api.patch(&wish.key.name, &parameters, &patch).await;
    }
    cx.figures.applied(word, if answer.is_ok() { "applied" } else { "failed" });
    answer.map_err(|error| Trouble::of(&wish.title(), &error))
}

/// Takes out of a Pod template what somebody else has added to it.
async fn mend_foreign(cx: &Context, process: &RestreamProcess, wish: &Wish, child: &Child) -> Result<(), Trouble> {
    let Some(foreign) = &child.foreign else { return Ok(()) };
    let (most, within) = REPLACEMENTS;
    let key = Key::of(&process.metadata);
    let count = cx.index.with_state(&key, |state| {
        let (count, last) = state.replaced;
        last.filter(|last| last.elapsed() < within).map_or(0, |_| count)
    });
    if count >= most {
        let message = format!("{}: somebody adds {foreign} to its Pods again and again", wish.title());
        return Err(Trouble::permanent("ForeignChange", message));
    }
    let api = api(cx, wish.kind, &wish.key);
    let trouble = |error: kube::Error| Trouble::of(&wish.title(), &error);
    let mut live = api.get(&wish.key.name).await.map_err(trouble)?;
    live.data["spec"]["template"]["spec"] = wish.object["spec"]["template"]["spec"].clone();
    live.metadata.managed_fields = None;
    let parameters = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let replaced = api.replace(&wish.key.name, &parameters, &live).await.map_err(trouble)?;
    cx.index.with_state(&key, |state| state.replaced = (count + 1, Some(Instant::now())));
    let child = keep(cx, wish.kind, &wish.key, &replaced);
    cx.index.verified(wish.kind, &wish.key, child.applied.digest);
    cx.figures.corrected(wish.kind.word());
    let note = format!("{}: somebody else had added {foreign} to its Pods", wish.title());
    tell(cx, process, Notice::warning("DriftCorrected", note)).await;
    Ok(())
}

/// Deletes an object that is not wanted any more.
pub async fn delete(cx: &Context, kind: Kind, key: &Key, child: &Child) -> Result<(), Trouble> {
    let preconditions = Preconditions { uid: Some(child.uid.clone()), ..Preconditions::default() };
    let parameters = DeleteParams::background().preconditions(preconditions);
    match api(cx, kind, key).delete(&key.name, &parameters).await {
        Ok(_) => cx.figures.applied(kind.word(), "deleted"),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => return Err(Trouble::of(&format!("{} {}", kind.word(), key.name), &error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_everything_but_itself() {
        let owner = OwnerReference { uid: "1".into(), ..OwnerReference::default() };
        let wish = |text: &str| {
            let object = json!({"metadata": {"name": "cam"}, "data": {"a": text}});
            Wish::new(Kind::ConfigMap, &object, &Key::new("n", "cam"), &owner)
        };
        assert_eq!(wish("x").hash, wish("x").hash);
        assert_ne!(wish("x").hash, wish("y").hash);
        let wish = wish("x");
        assert_eq!(wish.object["metadata"]["annotations"][APPLIED_HASH], wish.hash.as_str());
        assert_eq!(wish.hash.len(), 32);
    }
}
