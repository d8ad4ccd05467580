package attendant

import (
	"context"
	"io"
	"strings"
	"sync"

	"rialto/internal/convert/text"
	"rialto/internal/mapi"
	"rialto/internal/message"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
)

// ItemText returns what reads the searchable text of items for the index. Of
// items that were not MIME it reads the properties.
func ItemText() fulltext.Extract {
	pool := sync.Pool{New: func() any { return new(text.Extractor) }}
	return func(ctx context.Context, v *store.View, it fulltext.Item, add func(fulltext.Field, []byte)) (bool, error) {
		streams, err := v.Streams(ctx, []store.RowID{it.Row})
		if err != nil || streams[0] == nil {
			return false, err
		}
		s := streams[0]
		if s.Truth != store.TruthMIME {
			return false, propertyText(ctx, v, it, add)
		}
		body, err := v.Open(ctx, s)
		if err != nil {
			return false, err
		}
		src, err := sourceOf(s, body)
		if err != nil {
			return false, err
		}
		x := pool.Get().(*text.Extractor)
		defer pool.Put(x)
		return x.Message(ctx, src, func(k text.Kind, b []byte) { add(fieldOf(k), b) })
	}
}

func fieldOf(k text.Kind) fulltext.Field {
	switch k {
	case text.Subject:
		return fulltext.Subject
	case text.From:
		return fulltext.From
	case text.To:
		return fulltext.To
	case text.Cc:
		return fulltext.Cc
	case text.Bcc:
		return fulltext.Bcc
	case text.Body:
		return fulltext.Body
	case text.Attachment:
		return fulltext.Attachment
	}
	return fulltext.Header
}

// sourceOf describes the octets of an item.
func sourceOf(s *store.Stream, body *store.Body) (*text.Source, error) {
	trace, size := body.TraceSize(), body.Size()
	src := &text.Source{Trace: string(s.Trace), Content: io.NewSectionReader(body, trace, size-trace)}
	if len(s.Structure) == 0 {
		return src, nil
	}
	var err error
	if src.Structure, err = message.DecodeStructure(s.Structure); err != nil {
		return nil, err
	}
	end, err := message.HeaderEnd(s.Structure)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := body.WriteRange(&b, trace, max(0, min(end, size-trace, message.MaxHeaderBytes))); err != nil {
		return nil, err
	}
	src.Header = message.Header(b.String())
	return src, nil
}

// propertyText adds the texts of an item that is made of properties.
func propertyText(ctx context.Context, v *store.View, it fulltext.Item, add func(fulltext.Field, []byte)) error {
	put := func(f fulltext.Field, s string) {
		if s != "" {
			add(f, []byte(s))
		}
	}
	err := v.Summaries(ctx, it.Folder, it.UID, it.UID, func(r *store.Row) bool {
		p, err := r.Props()
		if err == nil {
			put(fulltext.Subject, p.Text(mapi.TagSubject))
			put(fulltext.From, p.Text(mapi.TagSentRepresentingName)+" <"+p.Text(mapi.TagSentRepresentingAddress)+">")
		}
		return false
	})
	if err != nil {
		return err
	}
	bag, err := v.Props(ctx, it.Row)
	if err != nil {
		return err
	}
	put(fulltext.Body, bag.Text(mapi.TagBody))
	recipients, err := v.Recipients(ctx, it.Row)
	if err != nil {
		return err
	}
	for _, r := range recipients {
		f := fulltext.To
		switch r.Int32(mapi.TagRecipientType) {
		case 2:
			f = fulltext.Cc
		case 3:
			f = fulltext.Bcc
		}
		put(f, r.Text(mapi.TagDisplayName)+" <"+r.Text(mapi.TagEmailAddress)+">")
	}
	return nil
}
