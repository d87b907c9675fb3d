//! The certificate in force, which follows its files. Those of Kubernetes are links that are swapped, and their times
//! say nothing, so what is looked at is their content.

use std::{error::Error, io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::spawn_blocking,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use super::certificate::{CertificateError, Contents, Served, TlsFiles};
use crate::metrics::Metrics;

/// A certificate and its key, ready to be shown to callers; cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    files: Arc<TlsFiles>,
    in_force: watch::Sender<Arc<Served>>,
}

impl Certificate {
    /// Reads the files.
    pub fn read(files: TlsFiles) -> Result<Self, CertificateError> {
        let served = Contents::read(&files)?.serve()?;
        Ok(Self { files: Arc::new(files), in_force: watch::Sender::new(Arc::new(served)) })
    }

    /// Whether the certificate in force has expired.
    pub fn has_expired(&self) -> bool {
        self.in_force.borrow().has_expired()
    }

    /// Takes handshakes with the certificate in force; those that are over stay as they are.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.in_force.borrow().acceptor.clone()
    }

    /// Reads the files anew after each `every` and at SIGHUP, until `stop` is cancelled. Those that cannot be used leave
    /// everything as it was.
    pub fn keep_fresh(
        &self,
        every: Duration,
        metrics: Metrics,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let certificate = self.clone();
        metrics.certificate_read(certificate.in_force.borrow().expires_at);
        tasks.spawn(async move {
            // It is logged once, not at every look.
            let mut is_told = false;
            loop {
                let is_asked = tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(every) => false,
                    _ = hangup.recv() => true,
                };
                match certificate.look().await {
                    Ok(is_new) => {
                        is_told = false;
                        let expires_at = certificate.in_force.borrow().expires_at;
                        metrics.certificate_read(expires_at);
                        if is_new || is_asked {
                            let expires_at = expires_at.map(|time| time.to_rfc3339());
                            info!(tls.expires_at = expires_at, tls.is_new = is_new, "TLS files were read");
                        }
                    }
                    Err(error) => {
                        metrics.certificate_unusable();
                        if is_asked || !is_told {
                            let error = error.as_ref() as &dyn Error;
                            error!(
                                error,
                                "TLS files cannot be used, and what was read before stays in force"
                            );
                        }
                        is_told = true;
                    }
                }
            }
        });
        Ok(())
    }

    /// Looks at the files, and puts what is new into force; gives whether anything is.
    async fn look(&self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let (files, known) = (self.files.clone(), self.in_force.borrow().digest);
        let read = spawn_blocking(move || {
            let contents = Contents::read(&files)?;
            if contents.digest() == known { Ok(None) } else { contents.serve().map(Some) }
        });
        let Some(served) = read.await?? else { return Ok(false) };
        if served.has_expired() && !self.has_expired() {
            return Err(CertificateError::Expired { certificate: self.files.certificate.clone() }.into());
        }
        self.in_force.send_replace(Arc::new(served));
        Ok(true)
    }
}
