package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The variables that say where traces go, of OpenTelemetry's specification. The SDK reads the
// others of it (headers, certificate, sampler, service name) by itself.
const (
	otlpEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	otlpTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	tracesExporter     = "OTEL_TRACES_EXPORTER"
	otelDisabled       = "OTEL_SDK_DISABLED"
	// traceFlush is how long the last spans may take at the end.
	traceFlush = 5 * time.Second
)

// tracing reports whether spans are to be sent.
func tracing() bool {
	return (os.Getenv(otlpEndpoint) != "" || os.Getenv(otlpTracesEndpoint) != "") && os.Getenv(tracesExporter) != "none" &&
		!strings.EqualFold(os.Getenv(otelDisabled), "true")
}

// startTraces has spans sent by OTLP over HTTP, if the environment says where to, and gives the
// function that sends the last. A collector that is away costs spans, and nothing else.
func startTraces(ctx context.Context, log *slog.Logger) (end func(), err error) {
	if !tracing() {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, usageError("traces: %w\nhint: %s wants a URL, like http://collector:4318", err, otlpEndpoint)
	}
	// The error itself may hold the address, and that a key.
	tell := sync.OnceFunc(func() { log.Warn("traces could not be sent to the collector; this is said once") })
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { tell() }))
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "bailey"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, usageError("traces: %w\nhint: OTEL_RESOURCE_ATTRIBUTES wants name=value, ...", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceFlush)
		defer cancel()
		if provider.Shutdown(ctx) != nil {
			tell()
		}
	}, nil
}
