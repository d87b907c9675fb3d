//! Traces: what a call caused, in whatever process and however much later. An import keeps the place in the trace
//! where it was made, so that the work on its segments is found there, too.

use std::time::Duration;

use opentelemetry::{
    Context,
    trace::{
        SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use thiserror::Error;
use tracing::{Span, Subscriber, field::Empty, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, registry::LookupSpan};

/// How long the collector may take to receive what is left when the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Where traces go, and how many of them.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// URL of a collector that speaks OTLP over gRPC; without it spans only give log lines the id of their trace.
    pub endpoint: Option<String>,
    /// Which part of the traces that begin here is exported, from 0 to 1. Callers decide for those that they began.
    pub sample_ratio: f64,
}

/// Why traces cannot be exported.
#[derive(Debug, Error)]
#[error("prepare the export of traces")]
pub struct TracingError(#[from] ExporterBuildError);

/// Exports spans as they end, in the background; what a slow collector does not take is dropped.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    pub(super) fn new(tracing: &Tracing) -> Result<Self, TracingError> {
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let mut provider = SdkTracerProvider::builder().with_resource(resource);
        provider = match &tracing.endpoint {
            Some(endpoint) => {
                let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
                let sampler = Sampler::TraceIdRatioBased(tracing.sample_ratio);
                provider.with_sampler(Sampler::ParentBased(Box::new(sampler))).with_batch_exporter(exporter)
            }
            // Spans have their ids, and are not recorded but where a caller wants that, who may be asked by others.
            None => provider.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))),
        };
        Ok(Self(provider.build()))
    }

    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
    }

    /// Exports what is left.
    pub async fn shut_down(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_EXPORT)).await;
        if !matches!(ended, Ok(Ok(()))) {
            warn!("the last spans may not have been exported");
        }
    }
}

/// The span of a call that came with this `traceparent`, and of all that is done for it.
pub fn call_span(method: &'static str, traceparent: Option<&str>) -> Span {
    let span = info_span!(
        "call",
        otel.name = method,
        otel.kind = "server",
        application.id = Empty,
        trace.id = Empty
    );
    caused_by(&span, traceparent);
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_valid() {
        span.record("trace.id", tracing::field::display(context.trace_id()));
    }
    span.set_attribute("rpc.system.name", "grpc");
    span.set_attribute("rpc.method", method);
    span
}

/// What a call came to; `is_fault` where that is the server's fault.
pub fn call_ended(span: &Span, code: &'static str, is_fault: bool) {
    span.set_attribute("rpc.response.status_code", code);
    if is_fault {
        span.set_status(Status::error(code));
    }
}

/// Puts a span that has just been made behind a place in a trace; one that cannot be read is nobody's.
pub fn caused_by(span: &Span, traceparent: Option<&str>) {
    if let Some(cause) = traceparent.and_then(parse) {
        // There is no place to put it where nothing is traced.
        let _ = span.set_parent(Context::new().with_remote_span_context(cause));
    }
}

/// The place of a span in its trace, as a `traceparent` (W3C Trace Context); none where nothing is traced.
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    context.is_valid().then(|| format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
}

/// Reads a `traceparent`. Later versions begin as version 0 does, and may go on.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let is_hex = |part: &&str| {
            part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(is_hex)
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parse(good).expect("one");
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled() && context.is_remote());
        assert!(parse(&good.replace("-01", "-02")).is_some_and(|context| !context.is_sampled()));
        assert!(parse(&good.replacen("00", "cc", 1).replace("-01", "-01-more")).is_some());
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
