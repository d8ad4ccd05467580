package transport

import (
	"strconv"
	"time"

	"rialto/internal/model"
)

// TrackKind is a step in the life of a message.
type TrackKind string

// The steps.
const (
	TrackSubmit  TrackKind = "submit"  // put into the queue
	TrackDeliver TrackKind = "deliver" // into mailboxes
	TrackSend    TrackKind = "send"    // taken by another server
	TrackDefer   TrackKind = "defer"   // will be tried again
	TrackFail    TrackKind = "fail"    // given up
	TrackExpand  TrackKind = "expand"  // a group became its members
)

// Tracked is one entry of message tracking: what happened to some recipients of
// a message at one time.
type Tracked struct {
	Time      time.Time
	Kind      TrackKind
	Message   string // the queue's number, or the serial name of one never queued
	MessageID string
	Subject   string
	From      model.Address
	Client    string // who handed it in
	Size      int64
	Rcpts     []model.Address
	Remote    string // the server that took or refused it
	Status    string // of the first recipient
}

// kindOf returns the step that a state is the end of.
func kindOf(s State) TrackKind {
	switch s {
	case Delivered:
		return TrackDeliver
	case Relayed, Passed:
		return TrackSend
	case Failed:
		return TrackFail
	case Expanded:
		return TrackExpand
	}
	return TrackDefer
}

// tracking gathers the recipients that an attempt changed, by what became of
// them.
type tracking struct {
	order  []Tracked
	byKind map[TrackKind]int
}

// add notes a recipient.
func (k *tracking) add(kind TrackKind, c *Rcpt) {
	if k.byKind == nil {
		k.byKind = map[TrackKind]int{}
	}
	i, ok := k.byKind[kind]
	if !ok {
		i = len(k.order)
		k.byKind[kind] = i
		k.order = append(k.order, Tracked{Kind: kind, Remote: c.Remote, Status: c.Status})
	}
	k.order[i].Rcpts = append(k.order[i].Rcpts, c.To)
}

// track reports what was gathered for r; name is how the message is known.
func (t *Transport) track(k *tracking, r *Record, name string) {
	if t.opt.Track == nil {
		return
	}
	if name == "" {
		name = strconv.FormatUint(r.ID, 10)
	}
	for _, e := range k.order {
		e.Time, e.Message, e.MessageID, e.Subject = t.opt.Clock(), name, r.MessageID, r.Subject
		e.From, e.Client, e.Size = r.From, r.Client, r.Size
		t.opt.Track(e)
	}
}

// trackAll reports one step of all recipients.
func (t *Transport) trackAll(kind TrackKind, r *Record) {
	if t.opt.Track == nil {
		return
	}
	var k tracking
	for i := range r.Rcpts {
		k.add(kind, &r.Rcpts[i])
	}
	t.track(&k, r, "")
}
