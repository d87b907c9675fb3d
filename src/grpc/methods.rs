//! Every method there is, by its path: what it does, and whether it streams.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use prost::Message;

use super::pb;

/// A method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Method {
    /// Its service and name, or `other` where there is no such method: a caller may name whatever it likes.
    pub(super) name: Cow<'static, str>,
    /// What it does.
    pub(super) using: Use,
    /// How its messages come.
    pub(super) way: Way,
    /// Whether it needs no key: it is one of gRPC's own, or there is no such method.
    pub(super) keyless: bool,
}

/// What a call does. A stream is one call, however long it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It leaves everything as it is.
    Read,
    /// It changes something.
    Write,
}

/// How messages of a call come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One is answered by one.
    Single,
    /// A stream of them is answered by one.
    Upload,
    /// A stream of them is the answer.
    Answers,
}

/// What is not told apart is bound as what is rarer, and as what ends soonest.
static OTHER: Method =
    Method { name: Cow::Borrowed("other"), using: Use::Write, way: Way::Single, keyless: true };

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    use tonic_reflection::pb::{v1, v1alpha};
    let own = tonic_health::pb::FILE_DESCRIPTOR_SET;
    let sets = [pb::DESCRIPTORS, own, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];
    let files = sets.into_iter().filter_map(|set| prost_types::FileDescriptorSet::decode(set).ok());
    let mut methods = HashMap::new();
    for file in files.flat_map(|set| set.file) {
        let keyless = file.package().starts_with("grpc.");
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let way = match (method.client_streaming(), method.server_streaming()) {
                    (_, true) => Way::Answers,
                    (true, false) => Way::Upload,
                    (false, false) => Way::Single,
                };
                let (name, using) = (Cow::Owned(path[1..].to_owned()), Use::of(method.name()));
                methods.insert(path, Method { name, using, way, keyless });
            }
        }
    }
    methods
});

impl Method {
    /// The method at a path.
    pub(super) fn at(path: &str) -> &'static Self {
        METHODS.get(path).unwrap_or(&OTHER)
    }
}

impl Use {
    /// What a method does, which its verb says.
    fn of(method: &str) -> Self {
        const READS: [&str; 5] = ["Export", "Get", "List", "Stream", "Watch"];
        if READS.iter().any(|verb| method.starts_with(verb)) { Self::Read } else { Self::Write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_call_does_and_how_it_streams() {
        for (path, using, way, keyless) in [
            ("carryover.v1.ImportService/GetImport", Use::Read, Way::Single, false),
            ("carryover.v1.ImportService/WatchImport", Use::Read, Way::Answers, false),
            ("carryover.v1.ImportService/StreamRowErrors", Use::Read, Way::Answers, false),
            ("carryover.v1.ImportService/ExportRows", Use::Read, Way::Answers, false),
            ("carryover.v1.ImportService/UploadImport", Use::Write, Way::Upload, false),
            ("carryover.v1.ImportService/CreateImport", Use::Write, Way::Single, false),
            ("carryover.v1.SessionService/ListSessions", Use::Read, Way::Single, false),
            ("grpc.health.v1.Health/Check", Use::Write, Way::Single, true),
            ("grpc.health.v1.Health/Watch", Use::Read, Way::Answers, true),
            ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Use::Write, Way::Answers, true),
            ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Use::Write, Way::Answers, true),
        ] {
            let method = Method::at(&format!("/{path}"));
            assert_eq!(method, &Method { name: path.into(), using, way, keyless });
        }
        for path in ["", "/", "/x.Y/Z", "/carryover.v1.ImportService/GetEverything"] {
            assert_eq!(Method::at(path), &OTHER, "{path}");
        }
    }
}
