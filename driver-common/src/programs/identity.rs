//! Who the operator says the node is: the key in `identity.json` and the address in `account.json` beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use pilot_proto::{
    crypto::{Crypto, Ed25519Seed, RustCrypto},
    planted,
    rng::Rng,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::store::{make_private_dir, replace};

/// The private key in `path`, made and written at the first start; without a path, a new one for this run only.
///
/// A file that does not hold a key is an error: replacing it would lose the node's id for ever.
pub(crate) fn seed(path: Option<&Path>, rng: &mut impl Rng) -> Result<Ed25519Seed, String> {
    let Some(path) = path else { return Ok(draw(rng)) };
    if planted!(IdentityRemade) {
        let _ = fs::remove_file(path);
    }
    match fs::read(path) {
        Ok(bytes) if planted!(IdentityReplaced) && parse(&bytes).is_err() => {
            let seed = draw(rng);
            replace(path, &render(&seed))?;
            Ok(seed)
        }
        Ok(bytes) => parse(&Zeroizing::new(bytes)).map_err(|words| {
            let hint = "hint: put a copy back, or move the file away to start as another node";
            format!("identity {}: {words}\n{hint}", path.display())
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let seed = draw(rng);
            make_private_dir(&directory(path)).map_err(|e| format!("identity {}: {e}", path.display()))?;
            replace(path, &render(&seed)).map_err(|words| format!("identity {words}"))?;
            Ok(seed)
        }
        Err(e) => Err(format!("identity {}: {e}", path.display())),
    }
}

/// The directory the files beside the identity are in.
pub(crate) fn directory(path: &Path) -> PathBuf {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn draw(rng: &mut impl Rng) -> Ed25519Seed {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill(&mut *bytes);
    Ed25519Seed::from_bytes(*bytes)
}

fn render(seed: &Ed25519Seed) -> Zeroizing<Vec<u8>> {
    let public = RustCrypto.ed25519_public(seed);
    let mut private = Zeroizing::new([0; 64]);
    private[..32].copy_from_slice(seed.expose());
    private[32..].copy_from_slice(&public);
    let private = Zeroizing::new(STANDARD.encode(private.as_slice()));
    let text = format!(
        "{{\n  \"private_key\": \"{}\",\n  \"public_key\": \"{}\"\n}}",
        private.as_str(),
        STANDARD.encode(public)
    );
    Zeroizing::new(text.into_bytes())
}

fn parse(bytes: &[u8]) -> Result<Ed25519Seed, String> {
    let file: Value = serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))?;
    let field = |name: &str, len: usize| {
        let text = file.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing"))?;
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|e| format!("{name} is no base64: {e}"))?);
        if bytes.len() == len {
            Ok(bytes)
        } else {
            Err(format!("{name} has {} bytes, expected {len}", bytes.len()))
        }
    };
    let private = field("private_key", 64)?;
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&private[..32]);
    let seed = Ed25519Seed::from_bytes(*seed);
    let public = RustCrypto.ed25519_public(&seed);
    if private[32..] != public || *field("public_key", 32)? != public {
        return Err("public_key does not belong to private_key".into());
    }
    Ok(seed)
}

/// The operator's address: the first of `given` that is not empty, else the one in `account.json` of `state`.
pub(crate) fn email(given: [&str; 2], state: Option<&Path>) -> Result<String, String> {
    let kept = || {
        let account = fs::read(state?.join("account.json")).ok()?;
        let account: Value = serde_json::from_slice(&account).ok()?;
        account.get("email").and_then(Value::as_str).map(str::to_owned)
    };
    let given = given.into_iter().find(|email| !email.is_empty()).map(str::to_owned);
    let email = given
        .or_else(kept)
        .filter(|email| !email.is_empty())
        .ok_or("email address required: use -email you@example.com")?;
    check_email(&email).map_err(|words| format!("invalid email: {email:?} {words}"))?;
    if let Some(state) = state {
        let account = format!("{:#}\n", json!({ "email": email }));
        let path = state.join("account.json");
        if fs::read(&path).ok().as_deref() != Some(account.as_bytes()) {
            make_private_dir(state).map_err(|e| format!("{}: {e}", state.display()))?;
            replace(&path, account.as_bytes())?;
        }
    }
    Ok(email)
}

fn check_email(email: &str) -> Result<(), &'static str> {
    let (name, domain) = email.split_once('@').ok_or("has no @")?;
    match () {
        () if domain.contains('@') => Err("has more than one @"),
        () if name.is_empty() => Err("has nothing before the @"),
        () if email.contains(char::is_whitespace) => Err("holds a blank"),
        () if !domain.contains('.') || domain.starts_with('.') || domain.ends_with('.') => {
            Err("has no domain with a dot inside")
        }
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::OsRng;

    #[test]
    fn an_identity_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/identity.json");
        let mut rng = OsRng::new().unwrap();
        let first = seed(Some(&path), &mut rng).unwrap();
        assert_eq!(seed(Some(&path), &mut rng).unwrap().expose(), first.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(seed(None, &mut rng).unwrap().expose(), first.expose());
    }

    #[test]
    fn a_damaged_identity_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        let mut rng = OsRng::new().unwrap();
        let good = String::from_utf8(render(&draw(&mut rng)).to_vec()).unwrap();
        let swapped = good.replace("\"public_key\": \"", "\"public_key\": \"AAAA");
        for (bad, words) in
            [("", "no JSON"), ("{}", "private_key is missing"), (swapped.as_str(), "35 bytes")]
        {
            fs::write(&path, bad).unwrap();
            let refused = seed(Some(&path), &mut rng).unwrap_err();
            assert!(refused.contains(words) && refused.contains("identity.json"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn the_email_is_given_or_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let state = Some(dir.path());
        assert!(email(["", ""], state).unwrap_err().contains("email address required"));
        assert_eq!(email(["", "old@example.com"], state).unwrap(), "old@example.com");
        assert_eq!(email(["a@b.c", "old@example.com"], state).unwrap(), "a@b.c");
        assert_eq!(email(["", ""], state).unwrap(), "a@b.c");
        assert_eq!(
            fs::read_to_string(dir.path().join("account.json")).unwrap(),
            "{\n  \"email\": \"a@b.c\"\n}\n"
        );
        for bad in ["x", "@b.c", "a@@b.c", "a@b", "a b@c.d", "a@.c", "a@c."] {
            assert!(email([bad, ""], None).unwrap_err().contains("invalid email"), "{bad}");
        }
    }
}
