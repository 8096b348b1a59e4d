//! What a request may want, and what somebody may do.

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send logs and metrics.
    Ingest,
    /// Search, query, look.
    Read,
    /// Change the server.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::Read, Scope::Admin];

    /// As it is written in the files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What somebody may do; never empty once it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Everything.
    pub const ALL: Scopes = Scopes(Scope::Admin.bit());

    /// Reads `scope,scope`. Errors: what is no scope, in words.
    pub fn parse(list: &str) -> Result<Scopes, String> {
        let mut scopes = Scopes::default();
        for name in list.split(',') {
            let known = Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
            let scope = known.ok_or_else(|| format!("`{name}` is no scope; write ingest, read or admin"))?;
            scopes.0 |= scope.bit();
        }
        Ok(scopes)
    }

    /// Whether a scope is among them; who may change the server may do everything.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0).map(Scope::as_str)
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, name) in self.names().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_written() {
        let scopes = Scopes::parse("read,ingest").expect("known scopes");
        assert_eq!(scopes.to_string(), "ingest,read");
        assert!(scopes.allow(Scope::Ingest) && scopes.allow(Scope::Read) && !scopes.allow(Scope::Admin));
        let admin = Scopes::parse("admin").expect("a known scope");
        assert!(admin == Scopes::ALL && admin.allow(Scope::Ingest) && admin.allow(Scope::Read));
        for list in ["", "write", "read,", "Read", "read read"] {
            assert!(Scopes::parse(list).is_err(), "{list:?}");
        }
    }
}
