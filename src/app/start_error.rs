//! What keeps a server from starting.

use std::{error::Error, io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use crate::{
    config::Contradiction, error, grpc::CertificateError, guard::GuardError, objects, objects::KeyError,
    store, telemetry::TracingError,
};

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error("listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("use the folder {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Nobody could tell it to read the certificate anew.
    #[error("wait for SIGHUP")]
    Signals(#[source] io::Error),
    /// The database cannot be used. Its URL is not shown: it may hold a password.
    #[error("open the database")]
    Database(#[source] store::Error),
    /// Settings do not go together.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// Settings cannot be used; all that is wrong with them.
    #[error("{}", in_a_line(.0))]
    Settings(Vec<StartError>),
    /// The object store cannot be used.
    #[error("open the object store")]
    Objects(#[from] objects::Error),
    /// The place of the object store has none, and the database says that there was one.
    #[error(
        "{} holds no objects, though the database knows of some: is its disk mounted? If they are lost for good, make an \
         empty file carryover.objects there",
        path.display()
    )]
    ObjectsMissing {
        /// The folder.
        path: PathBuf,
    },
    /// The encryption keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The certificates to trust when fetching cannot be read.
    #[error("read the file of --fetch-roots")]
    FetchRoots(#[source] io::Error),
    /// Traces cannot be exported.
    #[error(transparent)]
    Tracing(#[from] TracingError),
    /// Nothing can be fetched as it is set.
    #[error("prepare fetching")]
    Guard(#[from] GuardError),
    /// The first admin key cannot be made.
    #[error("make the first admin key")]
    AdminKey(#[source] error::Error),
}

/// An error and its causes.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn in_a_line(errors: &[StartError]) -> String {
    errors.iter().map(|error| causes(error)).collect::<Vec<_>>().join("; ")
}
