package imap

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rialto/internal/model"
	"rialto/internal/store"
)

func TestParseFlags(t *testing.T) {
	var many []string
	for i := range maxKeywords {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	flags, keywords, err := parseFlags(append([]string{`\SEEN`, `\deleted`, strings.Repeat("k", maxKeyword)}, many[1:]...))
	if err != nil || flags != store.Read|store.DeletedMark || len(keywords) != maxKeywords {
		t.Errorf("%v %d keywords, %v", flags, len(keywords), err)
	}
	for _, c := range []struct {
		names []string
		cause error
		text  string
	}{
		{[]string{`\Recent`}, errFlag, `No such flag: \Recent`},
		{[]string{"a%b"}, errFlag, "No such flag: a%b"},
		{[]string{`\` + strings.Repeat("x", 1000)}, errFlag, `No such flag: \` + strings.Repeat("x", maxKeyword-1)},
		{[]string{strings.Repeat("x", maxKeyword+1)}, errFlagLimit, "Keywords have at most 128 characters"},
		{append(many, "one-more"), errFlagLimit, "A message has at most 64 keywords"},
	} {
		var e *model.Error
		if _, _, err := parseFlags(c.names); !errors.Is(err, c.cause) || !errors.As(err, &e) || e.Object != c.text {
			t.Errorf("%.40v: %v", c.names, err)
		}
	}
	s := &session{srv: &Server{}}
	_, _, err = parseFlags(append(many, "one-more"))
	if r := s.failure(t.Context(), "STORE", err); r.cond != "NO" || r.code != "LIMIT" {
		t.Errorf("too many keywords: %+v", r)
	}
	// The message has some already: only the store can tell.
	if r := s.failure(t.Context(), "STORE", model.E("store.keywords", model.KindTooLarge, "too many keywords", nil)); r.cond != "NO" || r.code != "LIMIT" {
		t.Errorf("too many keywords with those before: %+v", r)
	}
	if r := s.failure(t.Context(), "APPEND", model.E("store.append", model.KindTooLarge, "structure", nil)); r.code != "TOOBIG" {
		t.Errorf("too large: %+v", r)
	}
}
