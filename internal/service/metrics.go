package service

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts connections of all servers of one process, labelled with the
// server's name. A nil *Metrics counts nothing.
type Metrics struct {
	accepted   *prometheus.CounterVec
	open       *prometheus.GaugeVec
	refusals   *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

// NewMetrics registers the metrics with reg, or reuses those registered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns, sub = "rialto", "connections"
	return &Metrics{
		accepted: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub,
			Name: "accepted_total", Help: "Connections accepted."}, []string{"server"})),
		open: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub,
			Name: "open", Help: "Connections open now."}, []string{"server"})),
		refusals: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub,
			Name: "refused_total", Help: "Connections refused, by reason."}, []string{"server", "reason"})),
		handshakes: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub,
			Name: "tls_handshakes_total", Help: "TLS handshakes, by result."}, []string{"server", "result"})),
		bytes: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub,
			Name: "bytes_total", Help: "Bytes on the wire of ended connections."}, []string{"server", "direction"})),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub,
			Name: "duration_seconds", Help: "How long connections lasted.",
			Buckets: prometheus.ExponentialBuckets(0.01, 8, 8)}, []string{"server"})),
	}
}

// register adds c to reg; what was there under the same name is used instead,
// so that several servers can share a registry.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	var dup prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &dup) {
		if old, ok := dup.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *Metrics) opened(server string) {
	if m != nil {
		m.accepted.WithLabelValues(server).Inc()
		m.open.WithLabelValues(server).Inc()
	}
}

func (m *Metrics) closed(server string, c *Conn) {
	if m != nil {
		m.open.WithLabelValues(server).Dec()
		m.bytes.WithLabelValues(server, "in").Add(float64(c.in.Load()))
		m.bytes.WithLabelValues(server, "out").Add(float64(c.out.Load()))
		m.seconds.WithLabelValues(server).Observe(time.Since(c.start).Seconds())
	}
}

func (m *Metrics) refused(server string, why Reason) {
	if m != nil {
		m.refusals.WithLabelValues(server, string(why)).Inc()
	}
}

func (m *Metrics) handshake(server string, err error) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.handshakes.WithLabelValues(server, result).Inc()
}
