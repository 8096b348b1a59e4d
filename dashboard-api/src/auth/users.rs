//! Users with passwords: a file as `htpasswd -B` makes it, with scopes after a further colon.

use std::collections::HashMap;
use std::sync::Arc;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use sha2::{Digest, Sha256};

use super::FileError;
use super::scope::Scopes;

/// Most memory that checking one password may take, KiB.
const MEMORY_KIB_MAX: u32 = 256 << 10;
/// Most passes over it.
const PASSES_MAX: u32 = 20;
/// Most threads' worth of work.
const LANES_MAX: u32 = 16;
/// Largest cost of bcrypt; each step doubles the time.
const COST_MAX: u32 = 15;
/// Whoever has no scopes in the file, as `htpasswd` writes it, may look.
const SCOPES_DEFAULT: &str = "read";

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq)]
enum Stored {
    Bcrypt(String),
    Argon2(String),
}

/// A line of the file: `NAME:HASH` or `NAME:HASH:scope,scope`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// How they are called.
    pub name: Arc<str>,
    /// What they may do.
    pub scopes: Scopes,
    /// SHA-256 of the hash: changes with the password.
    pub digest: [u8; 32],
    stored: Stored,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// All users.
#[derive(Clone, Debug, Default)]
pub struct Users {
    all: Vec<User>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Users {
    /// Reads a file of users; empty lines and `#` comments are passed over. Errors: every bad line.
    pub fn parse(text: &str) -> Result<Users, Vec<FileError>> {
        let mut users = Users::default();
        let mut errors = Vec::new();
        for (line, content) in super::lines(text) {
            let user = parse_line(content).and_then(|user| match users.by_name.contains_key(&user.name) {
                true => Err((0, format!("`{}` stands twice; keep one", user.name))),
                false => Ok(user),
            });
            match user {
                Ok(user) => {
                    users.by_name.insert(user.name.clone(), users.all.len());
                    users.all.push(user);
                }
                Err((column, message)) => errors.push(FileError { line, column: column + 1, message }),
            }
        }
        if errors.is_empty() { Ok(users) } else { Err(errors) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.all.iter()
    }

    /// A user by name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.by_name.get(name).and_then(|at| self.all.get(*at))
    }

    /// Against whose hash the password of a name that is nobody's is checked, so that the time does not tell that it
    /// is nobody's: always the same one for a name, and not the same for all names.
    pub fn decoy(&self, name: &str) -> Option<&User> {
        let last_byte = Sha256::digest(name.as_bytes()).last().copied().unwrap_or_default();
        self.all.get(usize::from(last_byte).checked_rem(self.all.len())?)
    }
}

impl User {
    /// Whether this is the password. Takes tens of milliseconds of CPU, on purpose.
    pub fn verify(&self, password: &str) -> bool {
        match &self.stored {
            Stored::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Stored::Argon2(hash) => {
                let hash = PasswordHash::new(hash);
                hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            }
        }
    }
}

fn parse_line(line: &str) -> Result<User, (usize, String)> {
    let mut parts = line.splitn(3, ':');
    let name = parts.next().filter(|name| !name.is_empty()).ok_or((0, "a name stands before the colon".to_owned()))?;
    let hash = parts.next().ok_or((line.len(), "a line is `NAME:HASH` or `NAME:HASH:scope,scope`".to_owned()))?.trim();
    let at = line.chars().take_while(|char| *char != ':').count() + 1;
    let stored = read_hash(hash).map_err(|message| (at, message))?;
    let scopes = parts.next().map_or(SCOPES_DEFAULT, str::trim);
    let scopes = Scopes::parse(scopes).map_err(|message| (at + hash.chars().count() + 1, message))?;
    Ok(User { name: name.into(), scopes, digest: Sha256::digest(hash.as_bytes()).into(), stored })
}

/// Takes what is safe and bounded; the text itself, a secret of sorts, stands in no message.
fn read_hash(hash: &str) -> Result<Stored, String> {
    if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| "this is no whole bcrypt hash".to_owned())?;
        let cost = parts.get_cost();
        return match cost {
            4..=COST_MAX => Ok(Stored::Bcrypt(hash.to_owned())),
            _ => Err(format!("a bcrypt cost of {cost} is not taken; make the hash with 5 to {COST_MAX}")),
        };
    }
    if hash.starts_with("$argon2") {
        let parsed = PasswordHash::new(hash).map_err(|_| "this is no whole argon2 hash".to_owned())?;
        let params = Params::try_from(&parsed).map_err(|_| "the parameters of this argon2 hash are none".to_owned())?;
        let bounded =
            params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX && params.p_cost() <= LANES_MAX;
        return match bounded && parsed.hash.is_some() && parsed.salt.is_some() {
            true => Ok(Stored::Argon2(hash.to_owned())),
            false => Err(format!(
                "this argon2 hash asks for too much; at most m={MEMORY_KIB_MAX}, t={PASSES_MAX}, p={LANES_MAX} are taken"
            )),
        };
    }
    Err("passwords are kept as bcrypt or argon2 hashes; write the line with `watchfire users add` or `htpasswd -B`"
        .into())
}

/// The line of the file for a user; the password is kept as an argon2id hash.
///
/// Errors: a name that breaks the line, an empty or overlong password, no random numbers.
pub fn user_line(name: &str, password: &str, scopes: Scopes) -> Result<String, String> {
    use argon2::password_hash::PasswordHasher;
    if name.is_empty()
        || name.starts_with('#')
        || name.trim() != name
        || name.contains(|c: char| c == ':' || c.is_control())
    {
        return Err("a name is one line of plain text without colons".to_owned());
    }
    if password.is_empty() || password.len() > super::credentials::TEXT_BYTES_MAX || name.len() > 255 {
        return Err("a password has 1 to 1024 bytes, a name at most 255".to_owned());
    }
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("the system has no random numbers: {error}"))?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    let hash: argon2::password_hash::phc::PasswordHash =
        hash.map_err(|error| format!("the password could not be hashed: {error}"))?;
    Ok(format!("{name}:{hash}:{scopes}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `htpasswd -nbB -C 4 anna secret`
    const BCRYPT: &str = "$2y$04$RIn1X5ZXVVq9gYPyBuOqyuSrRSIhHoUQPxDNb3sKBDLDgCx1wgHZK";

    #[test]
    fn both_kinds_of_hashes_are_checked() {
        let argon2 = user_line("berta", "pass:word", Scopes::ALL).expect("a good name");
        let bcrypt = bcrypt::hash("secret", 4).expect("a hash");
        let users = Users::parse(&format!("# ours\nanna:{bcrypt}\n{argon2}\n")).expect("valid");
        let (anna, berta) = (users.find("anna").expect("there"), users.find("berta").expect("there"));
        assert!(anna.verify("secret") && !anna.verify("Secret") && !anna.verify(""));
        assert!(berta.verify("pass:word") && !berta.verify("pass"));
        assert_eq!((anna.scopes.to_string(), berta.scopes), ("read".to_owned(), Scopes::ALL));
        assert!(users.find("carla").is_none() && users.decoy("carla").is_some());
        assert!(Users::default().decoy("carla").is_none());
        assert!(!format!("{users:?}").contains("$argon2"), "{users:?}");
    }

    #[test]
    fn every_bad_line_is_told_with_its_place_and_without_its_hash() {
        let text = format!(
            "anna\n:{BCRYPT}\nanna:{{SHA}}c2VjcmV0\nanna:$apr1$x$y\nanna:$2y$04$short\nanna:{BCRYPT}:write\n\
             anna:{}\nanna:$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\n\
             berta:{BCRYPT}\nberta:{BCRYPT}:read\n",
            BCRYPT.replace("$04$", "$31$")
        );
        let errors = Users::parse(&text).expect_err("bad lines");
        let places: Vec<_> = errors.iter().map(|error| (error.line, error.column)).collect();
        assert_eq!(places, [(1, 5), (2, 1), (3, 6), (4, 6), (5, 6), (6, 67), (7, 6), (8, 6), (10, 1)]);
        for error in errors {
            assert!(!error.message.contains('$') && !error.message.contains("c2VjcmV0"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", hash in "\\$(2y|argon2id|argon2i)\\$[$a-z0-9=,./]{0,60}") {
            for text in [text.clone(), hash.clone(), format!("anna:{hash}:{text}"), format!("{text}:{hash}")] {
                let told = Users::parse(&text).err().unwrap_or_default();
                prop_assert!(told.iter().all(|error| error.line >= 1 && error.column >= 1));
                let _ = super::super::Keys::parse(&text);
                let _ = super::super::Keys::parse(&format!("sha256:{text}"));
            }
        }
    }
}
