package smtp

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"rialto/internal/model"
)

// Client speaks SMTP over a stream that somebody else opened and closes; set
// deadlines on that. Not for concurrent use. After an error that is not a
// *Reply the stream is of no more use.
type Client struct {
	br  *bufio.Reader
	bw  *bufio.Writer
	ext Extensions
}

// Extensions are the keywords of the EHLO reply, upper case, with parameters.
type Extensions map[string]string

// Has reports whether the server offers a keyword.
func (e Extensions) Has(keyword string) bool {
	_, ok := e[keyword]
	return ok
}

// Auth returns the SASL mechanisms on offer.
func (e Extensions) Auth() []string { return strings.Fields(upper(e["AUTH"])) }

// MaxSize returns the message size limit, 0 for none said.
func (e Extensions) MaxSize() int64 {
	n, err := parseSize(e["SIZE"])
	if err != nil {
		return 0
	}
	return n
}

// NewClient returns a client on rw; nothing is read or written yet.
func NewClient(rw io.ReadWriter) *Client {
	c := &Client{}
	c.attach(rw)
	return c
}

func (c *Client) attach(rw io.ReadWriter) {
	c.br, c.bw = bufio.NewReaderSize(rw, 4096), bufio.NewWriterSize(rw, 16<<10)
	c.ext = nil
}

// Extensions returns what the last Hello found; nil for a server that knows
// HELO only.
func (c *Client) Extensions() Extensions { return c.ext }

// Greet reads the banner; not 220 is the *Reply as error.
func (c *Client) Greet() (*Reply, error) { return c.expect(220) }

// Hello sends EHLO, and HELO to a server that does not know it.
func (c *Client) Hello(name string) error {
	r, err := c.Cmd(250, "EHLO %s", name)
	if err != nil {
		var rep *Reply
		if !errors.As(err, &rep) || !rep.Permanent() {
			return err
		}
		c.ext = nil
		_, err = c.Cmd(250, "HELO %s", name)
		return err
	}
	c.ext = Extensions{}
	for _, line := range r.Lines[1:] {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		// "AUTH=LOGIN" is how servers before RFC 2554 said it.
		if rest, old := strings.CutPrefix(upper(k), "AUTH="); old {
			k, v = "AUTH", rest+" "+v
			if have := c.ext["AUTH"]; have != "" {
				continue
			}
		}
		c.ext[upper(k)] = strings.TrimSpace(v)
	}
	return nil
}

// Cmd sends one command and reads the reply. A code other than want comes back
// as the error. Text with line ends or other controls is refused.
func (c *Client) Cmd(want int, format string, args ...any) (*Reply, error) {
	if err := c.put(format, args...); err != nil {
		return nil, err
	}
	if err := c.bw.Flush(); err != nil {
		return nil, err
	}
	return c.expect(want)
}

func (c *Client) put(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	if strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return model.E("smtp.client", model.KindInvalid, "control character in command", nil)
	}
	c.bw.WriteString(line)
	_, err := c.bw.WriteString("\r\n")
	return err
}

func (c *Client) expect(want int) (*Reply, error) {
	r, err := ReadReply(c.br)
	if err != nil {
		return nil, err
	}
	if r.Code != want && !(want == 250 && r.Code == 251) {
		return r, r
	}
	return r, nil
}

// StartTLS sends STARTTLS and continues on what upgrade returns: the TLS
// connection over the same stream. Say Hello again afterwards. Input that came
// in clear behind the reply is an error (CVE-2011-0411).
func (c *Client) StartTLS(upgrade func() (io.ReadWriter, error)) error {
	if _, err := c.Cmd(220, "STARTTLS"); err != nil {
		return err
	}
	if c.br.Buffered() > 0 {
		return fmt.Errorf("smtp: plain text after STARTTLS: %w", ErrBadReply)
	}
	rw, err := upgrade()
	if err != nil {
		return err
	}
	c.attach(rw)
	return nil
}

// SASL is the client's side of a mechanism.
type SASL interface {
	Name() string
	Start() (initial []byte, err error) // nil: no initial response
	Next(challenge []byte) (response []byte, err error)
}

// Auth signs in (RFC 4954).
func (c *Client) Auth(m SASL) error {
	ir, err := m.Start()
	if err != nil {
		return err
	}
	line := "AUTH " + m.Name()
	if ir != nil {
		line += " " + encodeIR(ir)
	}
	r, err := c.authStep(line)
	for rounds := 0; err == nil && r.Code == 334; rounds++ {
		var ch, resp []byte
		if ch, err = base64.StdEncoding.DecodeString(strings.TrimSpace(r.Text())); err == nil {
			resp, err = m.Next(ch)
		}
		if err != nil || rounds == 16 {
			if _, e := c.authStep("*"); e != nil {
				return e
			}
			return errors.Join(err, errors.New("smtp: authentication given up"))
		}
		r, err = c.authStep(base64.StdEncoding.EncodeToString(resp))
	}
	if err != nil {
		return err
	}
	if r.Code != 235 {
		return r
	}
	return nil
}

func encodeIR(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (c *Client) authStep(line string) (*Reply, error) {
	if err := c.put("%s", line); err != nil {
		return nil, err
	}
	if err := c.bw.Flush(); err != nil {
		return nil, err
	}
	return ReadReply(c.br)
}

// Reset sends RSET.
func (c *Client) Reset() error { _, err := c.Cmd(250, "RSET"); return err }

// Noop sends NOOP.
func (c *Client) Noop() error { _, err := c.Cmd(250, "NOOP"); return err }

// Quit says goodbye; the caller then closes the stream.
func (c *Client) Quit() error { _, err := c.Cmd(221, "QUIT"); return err }
