package transport

import (
	"time"

	"rialto/internal/org"
	"rialto/internal/wire/smtp"
)

// Schedule is when to try again and when to give up.
type Schedule struct {
	Retry       []time.Duration // first, second, …, then the last again and again
	DelayNotice time.Duration   // 0: never
	Expire      time.Duration
}

// scheduleOf fills gaps with the defaults of an SMTP virtual server.
func scheduleOf(s org.SMTPSettings) Schedule {
	c := Schedule{Retry: s.Retry, DelayNotice: s.DelayNotice, Expire: s.Expire}
	if len(c.Retry) == 0 {
		c.Retry = []time.Duration{10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 15 * time.Minute}
	}
	if c.DelayNotice == 0 {
		c.DelayNotice = 12 * time.Hour
	}
	if c.Expire == 0 {
		c.Expire = 48 * time.Hour
	}
	return c
}

// Next returns how long to wait after the attempt-th failure (from 1). jitter,
// from 0 to 1, spreads messages that failed together over a tenth of the time.
func (c Schedule) Next(attempt int, jitter float64) time.Duration {
	d := c.Retry[min(max(attempt, 1), len(c.Retry))-1]
	return d + time.Duration(jitter*float64(d)/10)
}

// Verdict says what becomes of a recipient that could not be served now.
type Verdict uint8

// The verdicts.
const (
	Wait Verdict = iota
	TellDelay
	GiveUp
)

// Judge decides for a message accepted at accepted. told says that the sender
// knows of the delay.
func (c Schedule) Judge(accepted, now time.Time, told bool) Verdict {
	age := now.Sub(accepted)
	switch {
	case age >= c.Expire:
		return GiveUp
	case !told && c.DelayNotice > 0 && age >= c.DelayNotice:
		return TellDelay
	}
	return Wait
}

// wanted reports whether a sender asked to be told of the final state of a
// recipient (RFC 3461 4.1). Without a word from him failures are told.
func wanted(s State, n smtp.Notify) bool {
	switch s {
	case Failed:
		return n == 0 || n&smtp.NotifyFailure != 0
	case Delivered, Relayed, Expanded:
		return n&smtp.NotifySuccess != 0
	}
	return false
}

// wantsDelay reports the same of a delay.
func wantsDelay(n smtp.Notify) bool { return n == 0 || n&smtp.NotifyDelay != 0 }
