package imap

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"rialto/internal/model"
)

// Client is a small IMAP client over a given stream: for tests, migration and
// load, not for people. It is used by one goroutine.
type Client struct {
	rwc io.ReadWriteCloser
	p   responseReader
	w   *Writer
	n   int

	Greeting *Response
	// OnData, if set, is given the untagged responses of every command instead
	// of collecting them.
	OnData func(*Response)
}

// NewClient reads the greeting of the server on rwc.
func NewClient(rwc io.ReadWriteCloser) (*Client, error) {
	c := &Client{rwc: rwc, w: NewWriter(rwc)}
	c.p.br = bufio.NewReaderSize(rwc, 16<<10)
	g, err := c.p.read()
	if err != nil {
		return nil, err
	}
	c.Greeting = g
	if g.Cond != "OK" && g.Cond != "PREAUTH" {
		return nil, &ServerError{g}
	}
	return c, nil
}

// Upgrade goes on over another stream, after STARTTLS or COMPRESS.
func (c *Client) Upgrade(rwc io.ReadWriteCloser) {
	c.rwc = rwc
	c.p.br.Reset(rwc)
	c.w.Reset(rwc)
}

// Close closes the stream without LOGOUT.
func (c *Client) Close() error { return c.rwc.Close() }

// ServerError is a NO, BAD or BYE.
type ServerError struct{ *Response }

// Error returns what the server said.
func (e *ServerError) Error() string {
	s := "imap: " + e.Cond + " "
	if e.Code != "" {
		s += "[" + e.Code + "] "
	}
	return s + e.Text
}

// Result is what a command brought: its untagged responses and its end.
type Result struct {
	Untagged []*Response
	*Response
}

// Find returns the untagged responses called name: "FETCH", "EXISTS", "LIST".
func (r *Result) Find(name string) []*Response {
	var out []*Response
	for _, u := range r.Untagged {
		if u.Name() == name {
			out = append(out, u)
		}
	}
	return out
}

// CodeOf returns the rest of a response code among all responses of the result:
// "5" for UIDNEXT.
func (r *Result) CodeOf(name string) string {
	for _, u := range append(r.Untagged[:len(r.Untagged):len(r.Untagged)], r.Response) {
		if rest, ok := strings.CutPrefix(u.Code, name); ok && (rest == "" || rest[0] == ' ') {
			return strings.TrimPrefix(rest, " ")
		}
	}
	return ""
}

// Literally is an argument of Command that is sent as a literal. It waits for
// the server to ask for it unless NonSync is set.
type Literally struct {
	R       io.Reader
	Size    int64
	NonSync bool
}

// Command sends a command: words are sent as they are, Literally as a literal,
// all separated by spaces; use Quote and QuoteMailbox for strings. It returns a
// *ServerError where the server says NO or BAD, with the result.
func (c *Client) Command(words ...any) (*Result, error) {
	tag, err := c.send(words)
	if err != nil {
		return nil, err
	}
	return c.wait(tag)
}

// send writes a command. An answer that comes instead of a continuation is left
// to wait as an error.
func (c *Client) send(words []any) (string, error) {
	c.n++
	tag := "A" + strconv.Itoa(c.n)
	c.w.Raw(tag)
	for _, w := range words {
		c.w.SP()
		switch w := w.(type) {
		case string:
			c.w.Raw(w)
		case Literally:
			if err := c.literal(w); err != nil {
				return tag, err
			}
		default:
			c.w.Raw(fmt.Sprint(w))
		}
	}
	c.w.CRLF()
	return tag, c.w.Flush()
}

func (c *Client) literal(l Literally) error {
	c.w.Byte('{')
	c.w.Number(uint64(l.Size))
	if l.NonSync {
		c.w.Byte('+')
	}
	c.w.Raw("}")
	c.w.CRLF()
	if !l.NonSync {
		if err := c.w.Flush(); err != nil {
			return err
		}
		if err := c.waitContinue(); err != nil {
			return err
		}
	}
	n, err := io.Copy(c.w, io.LimitReader(l.R, l.Size))
	if err == nil && n < l.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// waitContinue reads up to a continuation.
func (c *Client) waitContinue() error {
	for {
		r, err := c.p.read()
		switch {
		case err != nil:
			return err
		case r.Tag == "+":
			return nil
		case r.Tag != "*" || r.Cond == "BYE":
			return &ServerError{r}
		case c.OnData != nil:
			c.OnData(r)
		}
	}
}

func (c *Client) wait(tag string) (*Result, error) {
	res := &Result{}
	for {
		r, err := c.p.read()
		if err != nil {
			return res, err
		}
		switch {
		case r.Tag == tag:
			res.Response = r
			if r.Cond != "OK" {
				return res, &ServerError{r}
			}
			return res, nil
		case r.Tag == "+":
			return res, model.E("imap.client", model.KindInvalid, "unexpected continuation", nil)
		case r.Tag != "*":
			return res, model.E("imap.client", model.KindInvalid, "unexpected tag", nil)
		case c.OnData != nil:
			c.OnData(r)
		default:
			res.Untagged = append(res.Untagged, r)
		}
	}
}

// Quote returns s as a quoted string. It must not hold newlines or NUL.
func Quote(s string) string { return string(appendQuoted(nil, s)) }

// QuoteMailbox returns a UTF-8 mailbox name in modified UTF-7, quoted.
func QuoteMailbox(name string) string { return Quote(EncodeUTF7(name)) }

// Login signs in with LOGIN.
func (c *Client) Login(user, password string) error {
	_, err := c.Command("LOGIN", Quote(user), Quote(password))
	return err
}

// Plain signs in with AUTHENTICATE PLAIN and an initial response.
func (c *Client) Plain(user, password string) error {
	ir := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	_, err := c.Command("AUTHENTICATE PLAIN", ir)
	return err
}

// Selected is what SELECT says about a mailbox.
type Selected struct {
	Exists, UIDNext, UIDValidity uint32
	HighestModSeq                uint64
	ReadOnly                     bool
}

// Select opens a mailbox for reading and writing.
func (c *Client) Select(mailbox string) (Selected, error) {
	res, err := c.Command("SELECT", QuoteMailbox(mailbox))
	if err != nil {
		return Selected{}, err
	}
	num := func(code string, bits int) uint64 {
		n, _ := strconv.ParseUint(res.CodeOf(code), 10, bits) // 0 where the server did not say
		return n
	}
	s := Selected{UIDNext: uint32(num("UIDNEXT", 32)), UIDValidity: uint32(num("UIDVALIDITY", 32)),
		HighestModSeq: num("HIGHESTMODSEQ", 64), ReadOnly: strings.HasPrefix(res.Code, "READ-ONLY")}
	for _, r := range res.Find("EXISTS") {
		s.Exists = uint32(r.Data[0].Num())
	}
	return s, nil
}

// Fetched is the data of one message.
type Fetched struct {
	Seq   uint32
	Items Value // pairs; use Get
}

// Fetch sends FETCH, or UID FETCH, and returns its data: Fetch(true, "1:*",
// "(FLAGS BODY.PEEK[])").
func (c *Client) Fetch(uid bool, set, items string) ([]Fetched, error) {
	cmd := "FETCH"
	if uid {
		cmd = "UID FETCH"
	}
	res, err := c.Command(cmd, set, items)
	if err != nil {
		return nil, err
	}
	var out []Fetched
	for _, r := range res.Find("FETCH") {
		if len(r.Data) == 3 {
			out = append(out, Fetched{uint32(r.Data[0].Num()), r.Data[2]})
		}
	}
	return out, nil
}

// Append stores a message; uid is 0 where the server does not say (UIDPLUS).
func (c *Client) Append(mailbox string, flags []string, date time.Time, body io.Reader, size int64) (uid uint32, err error) {
	words := []any{"APPEND", QuoteMailbox(mailbox)}
	if len(flags) > 0 {
		words = append(words, "("+strings.Join(flags, " ")+")")
	}
	if !date.IsZero() {
		words = append(words, `"`+date.Format(dateTimeLayout)+`"`)
	}
	res, err := c.Command(append(words, Literally{R: body, Size: size})...)
	if err != nil {
		return 0, err
	}
	_, s, _ := strings.Cut(res.CodeOf("APPENDUID"), " ")
	n, _ := strconv.ParseUint(s, 10, 32) // 0 as documented
	return uint32(n), nil
}

// Idle waits for changes: f is given every untagged response until it returns
// false; then DONE is sent. Deadlines are the stream's.
func (c *Client) Idle(f func(*Response) bool) error {
	tag, err := c.send([]any{"IDLE"})
	if err != nil {
		return err
	}
	if err := c.waitContinue(); err != nil {
		return err
	}
	for {
		r, err := c.p.read()
		if err != nil {
			return err
		}
		if r.Tag == tag || r.Cond == "BYE" {
			return &ServerError{r}
		}
		if !f(r) {
			break
		}
	}
	c.w.Raw("DONE\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	_, err = c.wait(tag)
	return err
}

// Logout says goodbye and closes the stream.
func (c *Client) Logout() error {
	_, err := c.Command("LOGOUT")
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}
