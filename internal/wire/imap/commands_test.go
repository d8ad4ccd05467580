package imap

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parse reads the arguments in text with read.
func parse[T any](t *testing.T, text string, read func(*Reader) (T, error)) (T, error) {
	t.Helper()
	r, _ := newTest("a X" + text + "\r\n")
	begin(t, r, "a", "X")
	v, err := read(r)
	if err != nil && !IsSyntax(err) {
		t.Errorf("%q: %v is no syntax error", text, err)
	}
	return v, err
}

// table checks what texts are read as, and that the bad ones are refused.
func table[T any](t *testing.T, read func(*Reader) (T, error), good map[string]T, bad ...string) {
	t.Helper()
	for text, want := range good {
		got, err := parse(t, text, read)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	for _, text := range bad {
		if got, err := parse(t, text, read); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestReadFetch(t *testing.T) {
	one := SeqSet{Ranges: []Range{{1, 1}}}
	item := func(k FetchKind) FetchItem { return FetchItem{Kind: k} }
	table(t, ReadFetch, map[string]Fetch{
		" 1 FLAGS":        {Set: one, Items: []FetchItem{item(FetchFlags)}},
		" 1:3,5:*,* fast": {Set: SeqSet{Ranges: []Range{{1, 3}, {5, 0}, {0, 0}}}, Items: []FetchItem{item(FetchFlags), item(FetchInternalDate), item(FetchSize)}},
		" $ (UID RFC822.SIZE BODY BODYSTRUCTURE MODSEQ)": {Set: SeqSet{Saved: true}, Items: []FetchItem{item(FetchUID), item(FetchSize), item(FetchBody), item(FetchBodyStructure), item(FetchModSeq)}},
		" 1 BODY[]":                                  {Set: one, Items: []FetchItem{{Kind: FetchSection}}},
		" 1 BODY.PEEK[1.2.mime]":                     {Set: one, Items: []FetchItem{{Kind: FetchSection, Peek: true, Section: Section{Part: []int{1, 2}, Specifier: "MIME"}}}},
		" 1 body[text]<5.10>":                        {Set: one, Items: []FetchItem{{Kind: FetchSection, Section: Section{Specifier: "TEXT"}, Partial: &Partial{5, 10}}}},
		" 1 BINARY.SIZE[3]":                          {Set: one, Items: []FetchItem{{Kind: FetchBinarySize, Peek: true, Section: Section{Part: []int{3}}}}},
		" 1 (PREVIEW (LAZY) UID)":                    {Set: one, Items: []FetchItem{item(FetchPreview), item(FetchUID)}},
		" 1 UID (CHANGEDSINCE 12345678901 VANISHED)": {Set: one, Items: []FetchItem{item(FetchUID)}, ChangedSince: 12345678901, HasChanged: true, Vanished: true},
		" 1 (BODY.PEEK[1.HEADER.FIELDS.NOT (From \"To\")])": {Set: one, Items: []FetchItem{{Kind: FetchSection, Peek: true,
			Section: Section{Part: []int{1}, Specifier: "HEADER.FIELDS.NOT", Fields: []string{"From", "To"}}}}},
	}, "", " 1", " 0 FLAGS", " 1 ()", " 1 XX", " 1 BODY[", " 1 BODY[MIME]", " 1 BODY[1.]", " 1 BODY[0]", " 1 BODY[]<1>", " 1 BODY[]<1.0>",
		" 1 BODY[HEADER.FIELDS ()]", " 1 BINARY[TEXT]", " 1 FLAGS x", " 1, FLAGS", " 4294967296 FLAGS", " 1 BODY["+strings.Repeat("1.", 200)+"1]",
		" 1 BODY[HEADER.FIELDS (\"a: b\")]")

	f, err := parse(t, " 1 (BODY.PEEK[1.2.HEADER.FIELDS (From \"a(b\")]<7.9> RFC822.TEXT BINARY.SIZE[4])", ReadFetch)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, it := range f.Items {
		b = append(it.AppendLabel(b), ' ')
	}
	if string(b) != `BODY[1.2.HEADER.FIELDS (From "a(b")]<7> RFC822.TEXT BINARY.SIZE[4] ` {
		t.Errorf("labels %s", b)
	}
}

func TestReadSearch(t *testing.T) {
	and := func(ks ...SearchKey) Search { return Search{Key: SearchKey{Keys: ks}} }
	not := func(k SearchKey) SearchKey { return SearchKey{Op: SearchNot, Keys: []SearchKey{k}} }
	flag := func(f string) SearchKey { return SearchKey{Op: SearchFlag, Name: f} }
	day := time.Date(1994, 2, 1, 0, 0, 0, 0, time.UTC)
	table(t, ReadSearch, map[string]Search{
		" ALL":                    and(SearchKey{Op: SearchAll}),
		" unseen DELETED":         and(not(flag(`\Seen`)), flag(`\Deleted`)),
		" 2:4 UID 7":              and(SearchKey{Op: SearchSeq, Set: SeqSet{Ranges: []Range{{2, 4}}}}, SearchKey{Op: SearchUID, Set: NewSeqSet(7)}),
		" NOT FROM \"Smith\"":     and(not(SearchKey{Op: SearchHeader, Name: "FROM", Text: "Smith"})),
		" HEADER X-A \"\"":        and(SearchKey{Op: SearchHeader, Name: "X-A"}),
		" SINCE 1-Feb-1994":       and(SearchKey{Op: SearchSince, Date: day}),
		" SENTON \"1-Feb-1994\"":  and(SearchKey{Op: SearchSentOn, Date: day}),
		" LARGER 10 YOUNGER 60":   and(SearchKey{Op: SearchLarger, Num: 10}, SearchKey{Op: SearchYounger, Num: 60}),
		" KEYWORD $a UNKEYWORD b": and(flag("$a"), not(flag("b"))),
		" OR (SEEN TEXT x) NEW": and(SearchKey{Op: SearchOr, Keys: []SearchKey{
			{Keys: []SearchKey{flag(`\Seen`), {Op: SearchText, Text: "x"}}},
			{Keys: []SearchKey{{Op: SearchRecent}, not(flag(`\Seen`))}}}}),
		" MODSEQ \"/flags/\\\\draft\" all 62": and(SearchKey{Op: SearchModSeq, Num: 62}),
		" RETURN () CHARSET utf-8 SUBJECT {5+}\r\ngr\xc3\xbcn": {Extended: true, Return: ReturnAll, Charset: "UTF-8",
			Key: SearchKey{Keys: []SearchKey{{Op: SearchHeader, Name: "SUBJECT", Text: "grün"}}}},
		" RETURN (MIN COUNT SAVE) $": {Extended: true, Return: ReturnMin | ReturnCount | ReturnSave,
			Key: SearchKey{Keys: []SearchKey{{Op: SearchSeq, Set: SeqSet{Saved: true}}}}},
	}, "", " ", " XX", " NOT", " OR SEEN", " ()", " (SEEN", " SINCE yesterday", " LARGER x", " RETURN (X) ALL", " UID", " CHARSET",
		" "+strings.Repeat("NOT ", 100)+"SEEN", " "+strings.Repeat("(", 100)+"SEEN", " "+strings.Repeat("SEEN ", 2000)+"SEEN")
}

func TestReadList(t *testing.T) {
	table(t, ReadList, map[string]List{
		` "" *`:      {Patterns: []string{"*"}},
		` "" ""`:     {Patterns: []string{""}},
		` x/ &AOQ-%`: {Reference: "x/", Patterns: []string{"ä%"}},
		` "" inbox`:  {Patterns: []string{"INBOX"}},
		` (SUBSCRIBED RECURSIVEMATCH) "" (a "b c*") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))`: {Patterns: []string{"a", "b c*"}, Extended: true,
			SelectSubscribed: true, SelectRecursive: true, ReturnSubscribed: true, ReturnChildren: true, ReturnStatus: StatusMessages | StatusUnseen},
		` () "" % RETURN (SPECIAL-USE SUBSCRIBED)`: {Patterns: []string{"%"}, Extended: true, ReturnSpecialUse: true, ReturnSubscribed: true},
	}, "", ` ""`, ` (X) "" *`, ` (RECURSIVEMATCH) "" *`, ` "" * RETURN`, ` "" * RETURN (X)`, ` "" * X`, " \"\" \xff")
}

func TestReadOthers(t *testing.T) {
	set := NewSeqSet(1)
	table(t, ReadStore, map[string]Store{
		` 1 +FLAGS (\Seen)`:                      {Set: set, Mode: StoreAdd, Flags: []string{`\Seen`}},
		` 1 -flags.silent \Seen x`:               {Set: set, Mode: StoreRemove, Silent: true, Flags: []string{`\Seen`, "x"}},
		` 1 (UNCHANGEDSINCE 320162338) FLAGS ()`: {Set: set, HasUnchanged: true, UnchangedSince: 320162338},
	}, ` 1 FLAGS`, ` 1 X (a)`, ` 1 FLAGS (a`, ` 1 (X 1) FLAGS (a)`, ` 1 FLAGS (*)`)
	table(t, ReadStatus, map[string]Status{
		` inbox (MESSAGES HIGHESTMODSEQ SIZE APPENDLIMIT MAILBOXID)`: {"INBOX", StatusMessages | StatusHighestModSeq | StatusSize | StatusAppendLimit | StatusMailboxID},
	}, " x", " x ()", " x (X)")
	table(t, ReadSelect, map[string]Select{
		` "a b"`:         {Mailbox: "a b"},
		` x (CONDSTORE)`: {Mailbox: "x", CondStore: true},
		` x (QRESYNC (67890007 20050715194045000 41,43:211 (1,5 41,50)))`: {Mailbox: "x", CondStore: true, QResync: &QResync{UIDValidity: 67890007, ModSeq: 20050715194045000,
			Known: SeqSet{Ranges: []Range{{41, 41}, {43, 211}}}, MatchSeq: NewSeqSet(1, 5), MatchUID: NewSeqSet(41, 50)}},
	}, "", " x (X)", " x (QRESYNC (1))", " x (QRESYNC 1)", " \"a\rb\"")
	table(t, ReadCreate, map[string]Create{` x (USE (\Sent))`: {"x", []string{`\Sent`}}, ` "y"`: {Mailbox: "y"}}, " x (Y)")
	table(t, ReadRename, map[string]Rename{` a "b c"`: {"a", "b c"}}, " a")
	table(t, ReadCopy, map[string]Copy{` 1 b`: {set, "b"}}, " 1", " b")
	table(t, ReadEnable, map[string][]string{" condstore QRESYNC": {"CONDSTORE", "QRESYNC"}}, "", " ")
	table(t, ReadID, map[string][]IDField{" nil": nil, ` ("name" "x" "os" NIL)`: {{"name", "x"}, {"os", ""}}}, "", " x", ` ("a")`)
	table(t, ReadAuthenticate, map[string]Authenticate{" plain": {Mechanism: "PLAIN"}, " PLAIN AGE=": {"PLAIN", "AGE=", true}}, "")
	table(t, ReadMailbox, map[string]string{" Tom&-Jerry": "Tom&Jerry", " a&b": "a&b", ` "&ZeVnLIqe-"`: "日本語"}, "", " (")
}

func TestUTF7(t *testing.T) {
	for name, enc := range map[string]string{"": "", "Plain": "Plain", "a&b": "a&-b", "日本語": "&ZeVnLIqe-", "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "😀x": "&2D3eAA-x"} {
		if got := EncodeUTF7(name); got != enc {
			t.Errorf("%q encodes to %q, want %q", name, got, enc)
		}
		if got, ok := DecodeUTF7(enc); !ok || got != name {
			t.Errorf("%q decodes to %q, %v", enc, got, ok)
		}
	}
	for _, bad := range []string{"&", "&A-", "&AEE-", "&2D0-", "&!!!!-", "a&AOQ"} {
		if got, ok := DecodeUTF7(bad); ok {
			t.Errorf("%q decodes to %q", bad, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	f.Add("a&AOQ-b")
	f.Add("日本語 & x")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\ufffd") {
			if got, ok := DecodeUTF7(EncodeUTF7(s)); !ok || got != s {
				t.Fatalf("%q -> %q -> %q", s, EncodeUTF7(s), got)
			}
		}
		if d, ok := DecodeUTF7(s); ok && strings.ToValidUTF8(s, "") == s {
			if got, ok := DecodeUTF7(EncodeUTF7(d)); !ok || got != d {
				t.Fatalf("%q decodes to %q, not kept", s, d)
			}
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false}, {"a/*", "a/b/c", true},
		{"%/b", "a/b", true}, {"*b", "a/b", true}, {"", "", true}, {"", "a", false}, {"inbox", "INBOX", true}, {"inbox/%", "INBOX/x", true},
		{"a", "A", false}, {"*a*b", "xaxb", true}, {"%%", "", true}, {strings.Repeat("*a", 500), strings.Repeat("a", 500) + "b", false},
	} {
		if got := Match(c.pattern, c.name, '/'); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestSeqSet(t *testing.T) {
	s, err := ParseSeqSet("5:3,9,12:*")
	if err != nil || s.String() != "5:3,9,12:*" {
		t.Fatalf("%v, %v", s, err)
	}
	for n, want := range map[uint32]bool{2: false, 3: true, 5: true, 6: false, 9: true, 12: true, 20: true, 21: false} {
		if s.Contains(n, 20) != want {
			t.Errorf("Contains(%d) is not %v", n, want)
		}
	}
	if star := (SeqSet{Ranges: []Range{{0, 0}}}); star.Contains(0, 0) || !star.Contains(7, 7) || star.Contains(6, 7) {
		t.Error("* is not the last message")
	}
	if got := NewSeqSet(1, 2, 3, 7, 9, 10).String(); got != "1:3,7,9:10" {
		t.Errorf("NewSeqSet = %s", got)
	}
	if _, err := ParseSeqSet("1,,2"); err == nil {
		t.Error("1,,2 is accepted")
	}
}
