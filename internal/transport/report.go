package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/wire/smtp"
)

// report is a notification that is about to be queued.
type report struct {
	rec  *Record
	body *bodyWriter
}

// maxReported is the recipients of one report, maxReturned the octets of a
// message that is returned whole.
const (
	maxReported = 100
	maxReturned = 48 << 10
)

// toReport is who hears what.
type toReport struct {
	to   model.Address
	kind noticeKind
}

// reports decides what the senders of r have to be told now, marks the
// recipients accordingly and returns the notifications. Reports themselves and
// mail with a null reverse-path are never reported on (RFC 5321 6.1).
func (t *Transport) reports(ctx context.Context, r *Record, now time.Time) ([]report, error) {
	cfg := t.opt.Org.Config()
	sched := scheduleOf(outbound(cfg))
	due := map[toReport][]Rcpt{}
	var order []toReport
	for i := range r.Rcpts {
		kind, ok := pendingNotice(r, &r.Rcpts[i], sched, now)
		if !ok {
			continue
		}
		c := r.Rcpts[i]
		k := toReport{r.From, kind}
		if !c.Return.IsZero() {
			k.to = c.Return
		}
		if r.Report || k.to.IsZero() {
			t.lost(ctx, r, &c)
			continue
		}
		if due[k] == nil {
			order = append(order, k)
		}
		due[k] = append(due[k], c)
	}
	var out []report
	for _, k := range order {
		for list := due[k]; len(list) > 0; list = list[min(len(list), maxReported):] {
			rep, err := t.compose(ctx, cfg, r, k, list[:min(len(list), maxReported)], now)
			if err != nil {
				for _, o := range out {
					o.body.abort()
				}
				return nil, err
			}
			out = append(out, rep)
		}
	}
	return out, nil
}

// pendingNotice returns what is to be said of a recipient, and marks it said.
func pendingNotice(r *Record, c *Rcpt, sched Schedule, now time.Time) (noticeKind, bool) {
	if !c.State.Final() {
		if c.Status == "" || sched.Judge(r.Accepted, now, c.DelayTold) != TellDelay {
			return 0, false
		}
		c.DelayTold = true
		return noticeDelay, wantsDelay(c.Notify) && !r.Report
	}
	if c.Reported {
		return 0, false
	}
	c.Reported = true
	if c.State == Failed {
		return noticeFailure, wanted(Failed, c.Notify) || r.Report
	}
	return noticeSuccess, wanted(c.State, c.Notify)
}

// lost notes a failure that nobody can be told of.
func (t *Transport) lost(ctx context.Context, r *Record, c *Rcpt) {
	if c.State != Failed || t.opt.Events == nil {
		return
	}
	t.opt.Events.Report(ctx, service.Event{Source: service.SourceTransport, ID: EventDoubleBounce, Level: slog.LevelWarn,
		Category: "NDR", Message: "A message without a return path could not be delivered and was discarded.",
		Attrs: []slog.Attr{slog.Uint64("message", r.ID), slog.String("recipient", c.To.String()), slog.String("status", c.Status)}})
}

// compose makes one notification and puts its body into the queue.
func (t *Transport) compose(ctx context.Context, cfg *org.Config, r *Record, k toReport, list []Rcpt, now time.Time) (report, error) {
	host := t.hostname(cfg)
	n := &notice{kind: k.kind, host: host, to: k.to, now: now, record: r, rcpts: list, expire: r.Accepted.Add(scheduleOf(outbound(cfg)).Expire)}
	domain := host
	if len(cfg.Domains) > 0 {
		domain = cfg.Domains[0].Name
	}
	n.postmast = model.Address{Local: "postmaster", Domain: domain}
	var err error
	if n.original, n.whole, err = t.returned(ctx, r, k.kind); err != nil {
		return report{}, err
	}
	body, err := t.queue.newBody(ctx)
	if err != nil {
		return report{}, err
	}
	// The number makes id and boundary unique: no message has it but this.
	n.id = strconv.FormatUint(body.id, 36) + "." + t.serialID() + "@" + host
	n.boundary = "=_" + t.queue.guid.String() + "." + strconv.FormatUint(body.id, 36) + "." + t.serialID()
	if _, err := body.Write(n.build()); err != nil {
		body.abort()
		return report{}, err
	}
	t.metrics.reported()
	return report{body: body, rec: &Record{
		ID: body.id, Accepted: now, Trusted: true, Report: true, Size: body.size, MessageID: "<" + n.id + ">",
		Subject: "Delivery status: " + r.Subject, Client: "report",
		Rcpts: []Rcpt{{To: k.to, Notify: smtp.NotifyNever}},
	}}, nil
}

// returned is what a report carries of the message: all of it for a failure,
// if it is small and the sender did not ask for the header only (RET).
func (t *Transport) returned(ctx context.Context, r *Record, kind noticeKind) (b []byte, whole bool, err error) {
	whole = kind == noticeFailure && r.Ret != "HDRS" && r.Size <= maxReturned
	limit := min(r.Size, maxReturned)
	buf := make([]byte, limit)
	if _, err := io.ReadFull(t.queue.body(ctx, r), buf); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if !whole {
		if end := headerEnd(buf, 0); end >= 0 {
			buf = buf[:end]
		} else {
			buf = append(buf, "\r\n"...)
		}
	}
	return append(append([]byte(nil), r.Trace...), buf...), whole, nil
}
