package server

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracer makes the spans of this package. They go where the process has told OpenTelemetry to
// send them, and cost next to nothing where it has not. A span says what was done, how much of it and
// how long it took: never which object, who asked, or what an error said.
var tracer = otel.Tracer("github.com/baileyhq/bailey/server")

// spanOf begins a span of work that nobody asked for over HTTP.
func spanOf(ctx context.Context, name string) (context.Context, trace.Span) {
	return tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindInternal))
}

// endSpan ends a span of something that may have failed.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

func count(name string, n int) attribute.KeyValue { return attribute.Int("bailey."+name, n) }

// traced makes a span of each request, below the caller's where it sends a W3C trace context.
func traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, method(r), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", method(r))))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// answered tells the span of a request how it was answered.
func answered(r *http.Request, status int) {
	span := trace.SpanFromContext(r.Context())
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// method is one of those that are known, since a caller may send any.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}

// routed gives the span of a request the name of its route, once the innermost mux has found it: a
// path names objects.
func routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		span := trace.SpanFromContext(r.Context())
		_, route, found := strings.Cut(r.Pattern, " ")
		if found && span.IsRecording() { // a pattern without a method only leads to another mux
			span.SetName(method(r) + " " + route)
			span.SetAttributes(attribute.String("http.route", route))
		}
	})
}
