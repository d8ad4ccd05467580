package transport

import (
	"strconv"
	"strings"
	"time"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
)

// serialID returns a name that this server gives once.
func (t *Transport) serialID() string {
	return strings.ToUpper(strconv.FormatUint(t.serial.Add(1), 36))
}

// maxOwnHops is how often a message may pass this server before it is taken to
// be going round in circles.
const maxOwnHops = 4

// received is the trace of one acceptance (RFC 5321 4.4).
func received(ses *Session, host, id string, only *model.Address, now time.Time) []byte {
	b := make([]byte, 0, 256)
	b = append(b, "Received: from "...)
	b = append(b, traceWord(ses.Helo, "localhost")...)
	if ses.Remote.IsValid() {
		b = append(b, " (["...)
		if ses.Remote.Is6() {
			b = append(b, "IPv6:"...)
		}
		b = append(ses.Remote.AppendTo(b), "])"...)
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, host...)
	b = append(b, " with "...)
	b = append(b, traceWord(ses.Proto, "ESMTP")...)
	if ses.TLS != "" {
		b = append(append(append(b, " ("...), ses.TLS...), ')')
	}
	b = append(append(b, " id "...), id...)
	if only != nil {
		b = append(append(append(b, "\r\n\tfor <"...), only.String()...), '>')
	}
	b = append(b, ";\r\n\t"...)
	b = append(b, message.FormatDate(now)...)
	return append(b, "\r\n"...)
}

// traceWord keeps what a client calls itself within one harmless word.
func traceWord(s, empty string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>;,\\\"", r) || r == 0xfffd {
			return -1
		}
		return r
	}, clip(s, 255))
	if s == "" {
		return empty
	}
	return s
}

// returnPath is the trace of final delivery (RFC 5321 4.4).
func returnPath(from model.Address) []byte {
	return []byte("Return-Path: <" + from.String() + ">\r\n")
}

// loops says why a header has been round too often, "" if it has not.
func loops(h message.Header, host string, s org.SMTPSettings) string {
	limit := s.MaxHops
	if limit == 0 {
		limit = 30
	}
	hops, own := 0, 0
	for f := range h.Fields() {
		if !f.Is("Received") {
			continue
		}
		if hops++; byHost(f.Value, host) {
			own++
		}
	}
	switch {
	case hops >= limit:
		return "Hop count exceeded, the message may be in a loop"
	case own >= maxOwnHops:
		return "The message has come back to this server too often"
	}
	return ""
}

// byHost reports whether a Received value was written by host.
func byHost(v, host string) bool {
	for w := strings.Fields(v); len(w) > 1; w = w[1:] {
		if w[0] == "by" {
			return strings.EqualFold(strings.TrimSuffix(w[1], ";"), host)
		}
	}
	return false
}
