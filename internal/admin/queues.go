package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/transport"
)

// Queue is the queue of one next hop.
type Queue struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Messages  int        `json:"messages"`
	Bytes     int64      `json:"bytes"`
	Oldest    *time.Time `json:"oldest,omitempty"`
	NextTry   *time.Time `json:"nextTry,omitempty"`
	Failures  int        `json:"failures,omitempty"`
	LastError string     `json:"lastError,omitempty"`
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ListQueues lists the queues that hold messages.
func (a *Admin) ListQueues(_ context.Context, c Caller, _ Nothing) ([]Queue, error) {
	if err := a.allow(c, "queue.list"); err != nil {
		return nil, err
	}
	out := []Queue{}
	for _, q := range a.Transport.Queues() {
		out = append(out, Queue{Name: q.Hop.String(), State: q.State, Messages: q.Messages, Bytes: q.Bytes, Oldest: when(q.Oldest),
			NextTry: when(q.NextTry), Failures: q.Failures, LastError: q.LastError})
	}
	return out, nil
}

// QueuedMessage is a message in the queue. Recipients are there when one
// message was asked for.
type QueuedMessage struct {
	ID         string            `json:"id"`
	Queue      string            `json:"queue,omitempty"`
	Accepted   time.Time         `json:"accepted"`
	Size       int64             `json:"size"`
	From       string            `json:"from"`
	Subject    string            `json:"subject,omitempty"`
	MessageID  string            `json:"messageId,omitempty"`
	Client     string            `json:"client,omitempty"`
	Attempts   int               `json:"attempts"`
	NextTry    *time.Time        `json:"nextTry,omitempty"`
	Recipients []QueuedRecipient `json:"recipients,omitempty"`
}

// QueuedRecipient is one recipient of a queued message.
type QueuedRecipient struct {
	Address string `json:"address"`
	State   string `json:"state"`
	Status  string `json:"status,omitempty"`
	Answer  string `json:"answer,omitempty"`
}

// maxListed bounds what one call shows of a queue.
const maxListed = 1000

// ShowQueue lists the messages of a queue, of all queues for "", or shows one
// message by its id.
func (a *Admin) ShowQueue(ctx context.Context, c Caller, n Name) ([]QueuedMessage, error) {
	const op = "queue.show"
	if err := a.allow(c, op); err != nil {
		return nil, err
	}
	out := []QueuedMessage{}
	if id, ok := messageID(n.Name); ok {
		m, err := a.queued(ctx, id, true)
		return append(out, m), err
	}
	found := n.Name == ""
	for _, q := range a.Transport.Queues() {
		if n.Name != "" && !strings.EqualFold(q.Hop.String(), n.Name) {
			continue
		}
		found = true
		if len(out) >= maxListed {
			break
		}
		for _, i := range a.Transport.Messages(q.Hop, maxListed-len(out)) {
			m, err := a.queued(ctx, i.ID, false)
			if model.IsKind(err, model.KindNotFound) {
				continue // gone meanwhile
			}
			if err != nil {
				return out, err
			}
			m.Queue, m.Attempts, m.NextTry = q.Hop.String(), i.Attempts, when(i.NextTry)
			out = append(out, m)
		}
	}
	if !found {
		return nil, model.E(op, model.KindNotFound, "queue "+n.Name, nil)
	}
	return out, nil
}

// messageID reads the id of a message as it is shown, here and in its Received
// line: a decimal number.
func messageID(s string) (uint64, bool) {
	id, err := strconv.ParseUint(s, 10, 64)
	return id, err == nil
}

func showID(id uint64) string { return strconv.FormatUint(id, 10) }

func (a *Admin) queued(ctx context.Context, id uint64, recipients bool) (QueuedMessage, error) {
	r, err := a.Transport.Show(ctx, id)
	if err != nil {
		return QueuedMessage{}, err
	}
	m := QueuedMessage{ID: showID(id), Accepted: r.Accepted, Size: r.Size, From: "<" + r.From.String() + ">", Subject: r.Subject,
		MessageID: r.MessageID, Client: r.Client}
	for _, rc := range r.Rcpts {
		if recipients {
			m.Recipients = append(m.Recipients, QueuedRecipient{rc.To.String(), rc.State.String(), rc.Status, rc.Diag})
		}
	}
	return m, nil
}

// RetryQueue makes a queue, a message, or for "" everything due now.
func (a *Admin) RetryQueue(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	const op = "queue.retry"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	want, isID := messageID(n.Name)
	hit := false
	a.Transport.Retry(func(id uint64, hop transport.Hop) bool {
		ok := n.Name == "" || isID && id == want || strings.EqualFold(hop.String(), n.Name)
		hit = hit || ok
		return ok
	})
	var err error
	if !hit && n.Name != "" {
		err = model.E(op, model.KindNotFound, n.Name, nil)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

// RemoveQueued is a message to be taken out of the queue.
type RemoveQueued struct {
	ID     string `json:"id"`
	Report bool   `json:"report"` // return it to its sender
}

// RemoveQueued takes a message out of the queue.
func (a *Admin) RemoveQueued(ctx context.Context, c Caller, r RemoveQueued) (*Nothing, error) {
	const op = "queue.remove"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, r.ID, err)
	}
	id, ok := messageID(r.ID)
	err := model.E(op, model.KindInvalid, r.ID+" is no message id", nil)
	if ok {
		err = a.Transport.Remove(ctx, id, r.Report)
	}
	return &Nothing{}, a.audit(ctx, c, op, r.ID, err)
}
