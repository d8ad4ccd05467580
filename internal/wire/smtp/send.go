package smtp

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"rialto/internal/model"
)

// Envelope is one message to be sent.
type Envelope struct {
	From  model.Address
	Size  int64  // of the body in bytes as written to DATA; -1 when unknown
	Body  string // "", "7BIT", "8BITMIME", "BINARYMIME"
	UTF8  bool   // addresses or header need SMTPUTF8
	Ret   string // "", "FULL", "HDRS"
	EnvID string
	Auth  *string // "" is <>
	Rcpts []Rcpt
	Extra []Param // for MAIL, sent as they are

	// Chunked sends with BDAT where the server offers CHUNKING: exact bytes,
	// whatever the line ends. BINARYMIME needs it.
	Chunked bool
	Bare    Bare // policy of DATA: ConvertBare unless the peer is our own
}

// Result is what the server said. Nil means that it was not asked.
type Result struct {
	Mail  *Reply
	Rcpts []*Reply // one for each recipient
	Data  *Reply   // the final answer; 250 means the server has the message
}

// batch is the number of commands sent before replies are read: few enough to
// fit the windows on both sides, so that nobody waits for ever.
const batch = 64

// chunk is the size of BDAT chunks in bytes.
const chunk = 256 << 10

// Send sends one message. What the server refuses is in the result, with a nil
// error, and the session can go on; an error means the stream is gone and the
// outcome, if Data is nil, unknown only when body had been read to its end.
func (c *Client) Send(e *Envelope, body io.Reader) (*Result, error) {
	res := &Result{Rcpts: make([]*Reply, len(e.Rcpts))}
	if res.Mail = c.cannot(e); res.Mail != nil {
		return res, nil
	}
	chunked := e.Chunked && c.ext.Has("CHUNKING")
	accepted, err := c.envelope(e, res)
	if err != nil {
		return res, err
	}
	if accepted == 0 {
		_, err := c.Cmd(250, "RSET")
		var r *Reply
		if errors.As(err, &r) {
			err = nil
		}
		return res, err
	}
	if chunked {
		res.Data, err = c.chunks(e, body)
	} else {
		res.Data, err = c.data(e, body)
	}
	return res, err
}

// cannot tells before anything is sent that the server could not take e.
func (c *Client) cannot(e *Envelope) *Reply {
	if limit := c.ext.MaxSize(); limit > 0 && e.Size > limit {
		return Replyf(552, "5.3.4", "Message is larger than the server accepts (%d bytes)", limit)
	}
	if e.UTF8 && !c.ext.Has("SMTPUTF8") {
		return Replyf(553, "5.6.7", "Server does not accept internationalized addresses")
	}
	if e.Body == "BINARYMIME" && !(e.Chunked && c.ext.Has("CHUNKING") && c.ext.Has("BINARYMIME")) {
		return Replyf(554, "5.6.1", "Server does not accept binary content")
	}
	return nil
}

// envelope sends MAIL and all RCPT, pipelined where allowed, and returns how
// many recipients were accepted.
func (c *Client) envelope(e *Envelope, res *Result) (accepted int, err error) {
	window := 1
	if c.ext.Has("PIPELINING") {
		window = batch
	}
	lines := len(e.Rcpts) + 1
	for done := 0; done < lines; {
		end := min(done+window, lines)
		for i := done; i < end; i++ {
			line := c.mailLine(e)
			if i > 0 {
				line = c.rcptLine(&e.Rcpts[i-1])
			}
			if err := c.put("%s", line); err != nil {
				return 0, err
			}
		}
		if err := c.bw.Flush(); err != nil {
			return 0, err
		}
		for ; done < end; done++ {
			r, err := ReadReply(c.br)
			if err != nil {
				return 0, err
			}
			if done == 0 {
				res.Mail = r
				continue
			}
			res.Rcpts[done-1] = r
			if r.Code/100 == 2 {
				accepted++
			}
		}
		if res.Mail.Code/100 != 2 {
			// What was pipelined behind a refused MAIL tells nothing.
			clear(res.Rcpts)
			return 0, nil
		}
	}
	return accepted, nil
}

func (c *Client) mailLine(e *Envelope) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + e.From.String() + ">")
	if c.ext.Has("SIZE") && e.Size >= 0 {
		b.WriteString(" SIZE=" + strconv.FormatInt(e.Size, 10))
	}
	if e.Body == "BINARYMIME" || e.Body != "" && c.ext.Has("8BITMIME") {
		b.WriteString(" BODY=" + e.Body)
	}
	if e.UTF8 {
		b.WriteString(" SMTPUTF8")
	}
	if c.ext.Has("DSN") {
		if e.Ret != "" {
			b.WriteString(" RET=" + e.Ret)
		}
		if e.EnvID != "" {
			b.WriteString(" ENVID=" + EncodeXtext(e.EnvID))
		}
	}
	if e.Auth != nil && c.ext.Has("AUTH") {
		v := EncodeXtext(*e.Auth)
		if v == "" {
			v = "<>"
		}
		b.WriteString(" AUTH=" + v)
	}
	writeParams(&b, e.Extra)
	return b.String()
}

func (c *Client) rcptLine(r *Rcpt) string {
	var b strings.Builder
	b.WriteString("RCPT TO:<" + r.To.String() + ">")
	if c.ext.Has("DSN") {
		if r.Notify != 0 {
			b.WriteString(" NOTIFY=" + r.Notify.String())
		}
		if r.ORcptType != "" {
			b.WriteString(" ORCPT=" + r.ORcptType + ";" + EncodeXtext(r.ORcpt))
		}
	}
	writeParams(&b, r.Other)
	return b.String()
}

func writeParams(b *strings.Builder, params []Param) {
	for _, p := range params {
		b.WriteString(" " + p.Key)
		if p.Has {
			b.WriteString("=" + p.Value)
		}
	}
}

// data sends the body with DATA. When body fails half way the terminator is
// not sent, so the server drops the message when the stream is closed.
func (c *Client) data(e *Envelope, body io.Reader) (*Reply, error) {
	r, err := c.Cmd(354, "DATA")
	if err != nil {
		return asReply(r, err)
	}
	w := NewDotWriter(c.bw, e.Bare)
	if _, err := io.Copy(w, body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return ReadReply(c.br)
}

// chunks sends the body with BDAT, reading one chunk ahead to know the last.
func (c *Client) chunks(e *Envelope, body io.Reader) (*Reply, error) {
	first := int64(chunk)
	if e.Size >= 0 {
		first = min(first, e.Size+1)
	}
	cur, next := make([]byte, first), []byte(nil)
	n, err := io.ReadFull(body, cur)
	for {
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return nil, err
		}
		m := 0
		if !last {
			if next == nil {
				next = make([]byte, chunk)
			}
			m, err = io.ReadFull(body, next)
			last = errors.Is(err, io.EOF)
		}
		r, e := c.bdat(cur[:n], last)
		if e != nil || last || r.Code/100 != 2 {
			return r, e
		}
		cur, next, n = next, cur, m
	}
}

func (c *Client) bdat(b []byte, last bool) (*Reply, error) {
	line := "BDAT " + strconv.Itoa(len(b))
	if last {
		line += " LAST"
	}
	if err := c.put("%s", line); err != nil {
		return nil, err
	}
	c.bw.Write(b)
	if err := c.bw.Flush(); err != nil {
		return nil, err
	}
	return ReadReply(c.br)
}

// asReply moves a refusal from the error to the reply.
func asReply(r *Reply, err error) (*Reply, error) {
	var rep *Reply
	if errors.As(err, &rep) {
		return rep, nil
	}
	return r, err
}
