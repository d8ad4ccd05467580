package transport

import (
	"context"
	"io"
	"strings"

	"rialto/internal/convert"
	"rialto/internal/mapi"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
)

// maxRuleText is how many octets of a body rules look at.
const maxRuleText = 256 << 10

// origin is what rules and automatic answers go by.
func origin(ctx context.Context, db *store.Database, staged *content.Staged, h message.Header, st *message.Structure, from model.Address, sender model.GUID) store.Origin {
	o := store.Origin{Sender: from, Internal: !sender.IsZero(), Automatic: from.IsZero() || automatic(h)}
	for _, v := range h.Values(loopField) {
		if a, err := model.ParseAddress(strings.TrimSpace(v)); err == nil {
			o.Passed = append(o.Passed, a)
		}
	}
	o.Lazy = func(tag mapi.Tag) (any, error) {
		switch tag {
		case mapi.TagTransportHeaders:
			return string(h), nil
		case mapi.TagMessageAttachments:
			return convert.Attachments(st), nil
		}
		p := st.MainText()
		if p == nil || tag == mapi.TagBodyHTML && p.Subtype != "html" {
			return nil, nil
		}
		src, err := db.OpenStaged(ctx, staged)
		if err != nil {
			return nil, err
		}
		if tag == mapi.TagBodyHTML {
			return io.ReadAll(io.LimitReader(message.TextReader(src, p), maxRuleText))
		}
		b, err := io.ReadAll(io.LimitReader(message.PlainReader(src, p), maxRuleText))
		return string(b), err
	}
	return o
}

// automatic reports whether a program made a message, or many people get it: it
// is not to be answered (RFC 3834 2, RFC 2919).
func automatic(h message.Header) bool {
	for f := range h.Fields() {
		v := strings.ToLower(strings.TrimSpace(f.Value))
		switch strings.ToLower(f.Name) {
		case "auto-submitted":
			v, _, _ = strings.Cut(v, ";")
			if strings.TrimSpace(v) != "no" {
				return true
			}
		case "precedence":
			if v == "bulk" || v == "list" || v == "junk" {
				return true
			}
		case "x-auto-response-suppress":
			if strings.Contains(v, "all") || strings.Contains(v, "oof") || strings.Contains(v, "autoreply") {
				return true
			}
		case "list-id", "list-unsubscribe", "x-loop":
			return true
		}
	}
	return false
}

// wakeable makes sure that what the rules of a database want sent is sent.
func (t *Transport) wakeable(db *store.Database) {
	o := &t.outboxes
	o.mu.Lock()
	known := o.m[db.GUID()] != nil
	o.mu.Unlock()
	if !known {
		t.wakeOutbox(db.GUID())
	}
}
