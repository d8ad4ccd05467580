package transport

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Event numbers of the transport, as Exchange has them where it does.
const (
	EventDoubleBounce = 3008 // a report could not be delivered
	EventRemoved      = 3018 // an administrator deleted a message
)

// metrics counts what the transport does.
type metrics struct {
	queuedTotal, deliveredTotal, refusedTotal, reportedTotal prometheus.Counter
	relayedTotal                                             *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return register(reg, prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rialto", Subsystem: "transport", Name: name, Help: help}))
	}
	return &metrics{
		queuedTotal:    counter("queued_total", "Messages put into the queue."),
		deliveredTotal: counter("delivered_total", "Copies delivered into mailboxes."),
		refusedTotal:   counter("loops_total", "Messages refused because they were going round in circles."),
		reportedTotal:  counter("reports_total", "Delivery status notifications written."),
		relayedTotal: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "rialto", Subsystem: "transport",
			Name: "relayed_total", Help: "Recipients offered to other servers, by result."}, []string{"result"})),
	}
}

// register adds c to reg, or returns what is there under its name.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var dup prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &dup) {
		if old, ok := dup.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) queued()         { m.queuedTotal.Inc() }
func (m *metrics) delivered(n int) { m.deliveredTotal.Add(float64(n)) }
func (m *metrics) refused()        { m.refusedTotal.Inc() }
func (m *metrics) reported()       { m.reportedTotal.Inc() }

func (m *metrics) relayed(out []outcome) {
	for i := range out {
		m.relayedTotal.WithLabelValues(out[i].state.String()).Inc()
	}
}
