package store

import (
	"strings"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// incoming is a message on its way in as rules see it.
type incoming struct {
	e    *encodedItem
	to   *DeliverTo
	lazy map[mapi.Tag]any
}

// Value implements mapi.Getter.
func (g *incoming) Value(tag mapi.Tag) (any, error) {
	if l := lazyTag(tag); l != 0 {
		return g.lazy[l], nil
	}
	if v, ok := g.e.Summary.Props.Get(tag); ok {
		return v, nil
	}
	if v, ok := g.e.Props.Get(tag); ok {
		return v, nil
	}
	switch tag {
	case mapi.TagMessageSize:
		return int32(min(g.e.size, 1<<31-1)), nil
	case mapi.TagMessageSizeExtended:
		return g.e.size, nil
	case mapi.TagMessageDeliveryTime:
		return g.e.Time, nil
	case mapi.TagMessageToMe:
		return g.listed(1), nil
	case mapi.TagMessageCcMe:
		return g.listed(2), nil
	case mapi.TagMessageRecipMe:
		return g.listed(1) || g.listed(2), nil
	case mapi.TagMessageFlags:
		return g.flags(), nil
	case mapi.TagSenderSearchKey:
		return searchKey(g.e.Summary.Props.Text(mapi.TagSenderAddress)), nil
	case mapi.TagSenderSMTPAddress:
		return text(g.e.Summary.Props.Text(mapi.TagSenderAddress)), nil
	case mapi.TagSentRepresentingSMTPAddress:
		return text(g.e.Summary.Props.Text(mapi.TagSentRepresentingAddress)), nil
	}
	return nil, nil
}

// text is a string property; there is none if it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (g *incoming) flags() int32 {
	var f int32
	if g.e.Flags&Read != 0 {
		f |= mapi.MessageFlagRead
	}
	if g.e.Summary.Props.Bool(mapi.TagHasAttachments) || len(g.e.Attachments) > 0 {
		f |= mapi.MessageFlagHasAttach
	}
	return f
}

// searchKey is PidTagSearchKey of an SMTP address (MS-OXOABK 2.2.3.5).
func searchKey(addr string) any {
	if addr == "" {
		return nil
	}
	return append([]byte("SMTP:"+strings.ToUpper(addr)), 0)
}

// listed reports whether the recipient is one of the given type (1 To, 2 Cc).
func (g *incoming) listed(kind int32) bool {
	for _, r := range g.e.Recipients {
		if r.Int32(mapi.TagRecipientType) == kind && g.to.owns(r.Text(mapi.TagEmailAddress)) {
			return true
		}
	}
	return false
}

// owns reports whether an address is the recipient's.
func (to *DeliverTo) owns(addr string) bool {
	if addr == "" {
		return false
	}
	if strings.EqualFold(addr, to.Owner.Address.String()) {
		return true
	}
	for _, a := range to.Aliases {
		if strings.EqualFold(addr, a.String()) {
			return true
		}
	}
	return false
}

// Each implements mapi.Getter.
func (g *incoming) Each(table mapi.Tag, fn func(mapi.Getter) (bool, error)) error {
	var rows []mapi.Properties
	switch table {
	case mapi.TagMessageRecipients:
		rows = g.e.Recipients
	case mapi.TagMessageAttachments:
		for i := range g.e.Attachments {
			rows = append(rows, g.e.Attachments[i].Props)
		}
		if parts, ok := g.lazy[table].([]mapi.Properties); ok && g.e.Content != nil {
			rows = append(rows, parts...)
		}
	default:
		return model.E("store.rules", model.KindUnsupported, "table", nil)
	}
	for _, r := range rows {
		if more, err := fn(rowGetter(r)); err != nil || !more {
			return err
		}
	}
	return nil
}

// rowGetter is a row of a recipients or attachments table.
type rowGetter mapi.Properties

// Value implements mapi.Getter.
func (r rowGetter) Value(tag mapi.Tag) (any, error) {
	p := mapi.Properties(r)
	if v, ok := p.Get(tag); ok {
		return v, nil
	}
	switch tag {
	case mapi.TagSearchKey:
		return searchKey(p.Text(mapi.TagEmailAddress)), nil
	case mapi.TagSMTPAddress:
		return text(p.Text(mapi.TagEmailAddress)), nil
	}
	return nil, nil
}

// Each implements mapi.Getter: a row has no tables.
func (rowGetter) Each(mapi.Tag, func(mapi.Getter) (bool, error)) error { return nil }
