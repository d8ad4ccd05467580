package imap

import (
	"context"

	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
	wire "rialto/internal/wire/imap"
)

// consult asks the search index about the texts of a key and of those below it.
// What it does not know is read from the messages, as if there were none.
func (k *key) consult(ctx context.Context, x TextIndex, box *store.Mailbox) error {
	for _, sub := range k.keys {
		if err := sub.consult(ctx, x, box); err != nil {
			return err
		}
	}
	fields := k.indexed()
	if x == nil || fields == nil {
		return nil
	}
	hits, err := x.Find(ctx, box, k.text.lower, fields...)
	if err != nil && ctx.Err() == nil && !model.IsKind(err, model.KindUnavailable) {
		return nil // a damaged index is no reason not to search
	}
	k.hits = hits
	return err
}

// indexed returns the fields of the index that a key is about, nil if it is about
// none.
func (k *key) indexed() []fulltext.Field {
	switch k.op {
	case wire.SearchBody:
		return []fulltext.Field{fulltext.Body}
	case wire.SearchText:
		return []fulltext.Field{fulltext.Header, fulltext.Body}
	case wire.SearchHeader:
	default:
		return nil
	}
	switch k.name {
	case "SUBJECT":
		return []fulltext.Field{fulltext.Subject}
	case "FROM":
		return []fulltext.Field{fulltext.From}
	case "TO":
		return []fulltext.Field{fulltext.To}
	case "CC":
		return []fulltext.Field{fulltext.Cc}
	case "BCC":
		return []fulltext.Field{fulltext.Bcc}
	}
	if inEnvelope(k.name) {
		return nil // decided from summaries, which have it in another form
	}
	return []fulltext.Field{fulltext.Header}
}

// verdict is what the index says of a message. Of a field that it does not know
// apart from others it can only say that the text is nowhere in the header.
func (k *key) verdict(st *store.Brief) verdict {
	switch k.hits.Test(st.Row, st.OID) {
	case fulltext.No:
		return never
	case fulltext.Yes:
		if k.op != wire.SearchHeader || inEnvelope(k.name) {
			return yes
		}
	}
	return unknown
}

// usesIndex reports whether the index knows something about a key.
func (k *key) usesIndex() bool {
	if k.hits != nil {
		return true
	}
	for _, sub := range k.keys {
		if sub.usesIndex() {
			return true
		}
	}
	return false
}
