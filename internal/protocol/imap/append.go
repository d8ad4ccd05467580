package imap

import (
	"context"
	"fmt"
	"io"

	"rialto/internal/convert"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// maxMessages is how many messages one APPEND may bring (RFC 3502).
const maxMessages = 100

// append is APPEND (RFC 9051 6.3.12). The octets go to the store and through the
// parser as they come; nothing holds a message.
func (s *session) append(ctx context.Context) (reply, error) {
	a, err := wire.ReadAppend(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, a.Mailbox)
	if model.IsKind(err, model.KindNotFound) {
		return no("TRYCREATE", "No such mailbox"), nil
	} else if err != nil {
		return reply{}, err
	}
	var items []*store.NewItem
	coming := int64(0)
	defer func() {
		for _, it := range items {
			it.Content.Release()
		}
	}()
	for more := true; more; {
		switch {
		case a.Literal.Size > s.set.MaxMessage:
			return no("TOOBIG", "The message is over the limit of "+itoa(s.set.MaxMessage)+" bytes"), nil
		case a.Literal.Size == 0:
			return no("", "The message is empty"), nil
		case len(items) == maxMessages:
			return no("LIMIT", "Too many messages at once"), nil
		}
		coming += a.Literal.Size
		if err := s.room(coming); err != nil {
			return reply{}, err
		}
		it, err := s.receive(ctx, &a)
		if err != nil {
			return reply{}, err
		}
		items = append(items, it)
		if more, err = a.Next(s.r); err != nil {
			return reply{}, err
		}
	}
	states, err := s.box.Append(ctx, f.ID, items...)
	if err != nil {
		return reply{}, err
	}
	var uids wire.SeqSet
	for _, st := range states {
		uids.Add(uint32(st.UID()))
	}
	return reply{"OK", fmt.Sprintf("APPENDUID %d %s", f.UIDValidity, uids), "APPEND completed"}, nil
}

// receive stores the octets of one message and returns the item to be.
func (s *session) receive(ctx context.Context, a *wire.Append) (*store.NewItem, error) {
	flags, keywords, err := parseFlags(a.Flags)
	if err != nil {
		return nil, err
	}
	src, err := s.r.Accept()
	if err != nil {
		return nil, err
	}
	p := new(message.Parser)
	w := s.box.Database().NewContent(ctx)
	if _, err := io.Copy(io.MultiWriter(w, p), src); err != nil {
		w.Abort()
		return nil, err
	}
	staged, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	proj := convert.FromMIME(p, p.Close())
	return &store.NewItem{
		Content: staged, Structure: proj.Structure, Recipients: proj.Recipients,
		Summary: store.Summary{Props: proj.Summary, Envelope: proj.Envelope},
		Flags:   flags, Keywords: keywords, Time: a.Date, Creator: s.acct.SID,
	}, nil
}
