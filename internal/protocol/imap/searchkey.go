package imap

import (
	"errors"
	"io"
	"sort"
	"strings"
	"time"

	"golang.org/x/text/encoding/ianaindex"

	"rialto/internal/message"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
	wire "rialto/internal/wire/imap"
)

// key is a search key made ready: sets resolved, texts in UTF-8 and lower case.
type key struct {
	op      wire.SearchOp
	keys    []*key
	spans   []span      // SearchSeq, SearchUID
	flag    store.Flags // SearchFlag; 0: keyword
	name    string      // keyword, or field in canonical upper case
	text    needle
	day     int       // dates as year*10000 + month*100 + day
	at      time.Time // OLDER, YOUNGER
	num     uint64
	isEmpty bool           // the text was empty
	hits    *fulltext.Hits // what the index says; nil: nothing
}

// errCharset says that the texts of a search can not be read.
var errCharset = errors.New("imap: unknown charset")

// compiler turns the codec's search keys into ours.
type compiler struct {
	sel         *selected
	charset     string
	incarnation uint32
	modSeq      bool // MODSEQ was among the keys
}

func (c *compiler) compile(k *wire.SearchKey) (*key, error) {
	out := &key{op: k.Op, num: k.Num}
	for i := range k.Keys {
		sub, err := c.compile(&k.Keys[i])
		if err != nil {
			return nil, err
		}
		out.keys = append(out.keys, sub)
	}
	// What is cheap to decide comes first.
	if k.Op == wire.SearchAnd || k.Op == wire.SearchOr {
		sort.SliceStable(out.keys, func(i, j int) bool { return out.keys[i].level() < out.keys[j].level() })
	}
	var err error
	switch k.Op {
	case wire.SearchSeq, wire.SearchUID:
		out.spans, err = c.sel.resolve(k.Set, k.Op == wire.SearchUID || k.Set.Saved)
	case wire.SearchFlag:
		out.flag, out.name = flagBit(k.Name), k.Name
	case wire.SearchHeader:
		out.name = strings.ToUpper(k.Name)
		out.isEmpty = k.Text == ""
		err = c.text(out, k.Text)
	case wire.SearchBody, wire.SearchText:
		err = c.text(out, k.Text)
	case wire.SearchBefore, wire.SearchOn, wire.SearchSince, wire.SearchSentBefore, wire.SearchSentOn, wire.SearchSentSince:
		out.day = day(k.Date)
	case wire.SearchOlder, wire.SearchYounger:
		out.at = time.Now().Add(-time.Duration(min(k.Num, 1<<32)) * time.Second)
	case wire.SearchModSeq:
		c.modSeq = true
	case wire.SearchEmailID:
		kind, incarnation, id, bad := store.ParseObjectName(k.Text)
		if bad == nil && kind == 'M' && incarnation == c.incarnation {
			out.num = id
		} else {
			out.num = 0 // no message has it
		}
	}
	return out, err
}

func (c *compiler) text(k *key, text string) error {
	if c.charset != "" && c.charset != "US-ASCII" && c.charset != "UTF-8" {
		if e, err := ianaindex.MIME.Encoding(c.charset); err != nil || e == nil {
			return errCharset
		}
		b, err := io.ReadAll(message.NewCharsetReader(c.charset, strings.NewReader(text)))
		if err != nil {
			return errCharset
		}
		text = string(b)
	}
	k.text = newNeedle(text)
	return nil
}

func day(t time.Time) int {
	y, m, d := t.Date()
	return y*10000 + int(m)*100 + d
}

// level is how much of a message a key needs to know.
type level uint8

const (
	levelState level = iota
	levelSummary
	levelBody
)

func (k *key) level() level {
	switch k.op {
	case wire.SearchBody, wire.SearchText:
		return levelBody
	case wire.SearchSentBefore, wire.SearchSentOn, wire.SearchSentSince, wire.SearchThreadID:
		return levelSummary
	case wire.SearchHeader:
		if inEnvelope(k.name) {
			return levelSummary
		}
		return levelBody
	}
	top := levelState
	for _, sub := range k.keys {
		top = max(top, sub.level())
	}
	return top
}

// usesState reports whether a key needs the state row to be decided.
func (k *key) usesState() bool {
	if len(k.keys) == 0 {
		return k.level() == levelState && k.op != wire.SearchAll && k.op != wire.SearchSeq && k.op != wire.SearchUID
	}
	for _, sub := range k.keys {
		if sub.usesState() {
			return true
		}
	}
	return false
}

// inEnvelope reports whether a header field is in the envelope.
func inEnvelope(name string) bool {
	switch name {
	case "FROM", "TO", "CC", "BCC", "SUBJECT", "SENDER", "REPLY-TO", "MESSAGE-ID", "IN-REPLY-TO", "DATE":
		return true
	}
	return false
}

// scope returns the messages that need to be looked at: those of the sets that
// every hit must be in.
func (k *key) scope(sel *selected) []span {
	switch k.op {
	case wire.SearchSeq, wire.SearchUID:
		return append([]span(nil), k.spans...)
	case wire.SearchAnd:
		for _, sub := range k.keys {
			if sub.op == wire.SearchSeq || sub.op == wire.SearchUID {
				return sub.scope(sel)
			}
		}
	}
	return merge([]span{{0, len(sel.uids)}})
}
