package pop3

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"strings"

	"rialto/internal/model"
)

const (
	maxReply     = 64 << 10  // bytes of a reply's first line
	maxReplyList = 256 << 20 // bytes of a multi-line reply that is held
)

// Client is a small POP3 client over a given stream, used by one goroutine.
type Client struct {
	rwc io.ReadWriteCloser
	br  *bufio.Reader

	Greeting string
}

// NewClient reads the greeting of the server on rwc.
func NewClient(rwc io.ReadWriteCloser) (*Client, error) {
	c := &Client{rwc: rwc, br: bufio.NewReaderSize(rwc, 16<<10)}
	g, err := c.reply()
	c.Greeting = g
	return c, err
}

// Upgrade goes on over another stream, after STLS.
func (c *Client) Upgrade(rwc io.ReadWriteCloser) {
	c.rwc = rwc
	c.br.Reset(rwc)
}

// Close closes the stream without QUIT: deletions are not carried out.
func (c *Client) Close() error { return c.rwc.Close() }

// ServerError is the text of a -ERR.
type ServerError string

// Error returns what the server said.
func (e ServerError) Error() string { return "pop3: " + string(e) }

func (c *Client) reply() (string, error) {
	line, err := readLine(c.br, maxReply)
	if err != nil {
		return "", err
	}
	status, text, _ := strings.Cut(line, " ")
	switch status {
	case "+OK", "+":
		return text, nil
	case "-ERR":
		return "", ServerError(text)
	}
	return "", model.E("pop3.client", model.KindInvalid, "reply without status", nil)
}

// Command sends a line and returns the text of its +OK, or a ServerError.
func (c *Client) Command(line string) (string, error) {
	if strings.ContainsAny(line, "\r\n") {
		return "", model.E("pop3.client", model.KindInvalid, "newline in command", nil)
	}
	if _, err := io.WriteString(c.rwc, line+"\r\n"); err != nil {
		return "", err
	}
	return c.reply()
}

// Lines sends a command with a multi-line reply and returns its lines.
func (c *Client) Lines(line string) ([]string, error) {
	var b bytes.Buffer
	if err := c.Multi(line, &limitedBuffer{&b, maxReplyList}); err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(b.String(), "\r\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\r\n"), nil
}

// limitedBuffer fails when it is full.
type limitedBuffer struct {
	b    *bytes.Buffer
	left int
}

func (l *limitedBuffer) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, model.E("pop3.client", model.KindTooLarge, "reply", nil)
	}
	return l.b.Write(b)
}

// Multi sends a command with a multi-line reply and copies it to w, dots
// unstuffed: a message by RETR.
func (c *Client) Multi(line string, w io.Writer) error {
	if _, err := c.Command(line); err != nil {
		return err
	}
	bol := true
	for {
		b, err := c.br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if bol && b[0] == '.' {
			if err == nil && len(bytes.TrimRight(b, "\r\n")) == 1 {
				return nil
			}
			b = b[1:]
		}
		bol = err == nil
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// Login signs in with USER and PASS.
func (c *Client) Login(user, password string) error {
	if _, err := c.Command("USER " + user); err != nil {
		return err
	}
	_, err := c.Command("PASS " + password)
	return err
}

// Plain signs in with AUTH PLAIN.
func (c *Client) Plain(user, password string) error {
	_, err := c.Command("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	return err
}

// Stat returns the number of messages and their size.
func (c *Client) Stat() (count int, size int64, err error) {
	text, err := c.Command("STAT")
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(text)
	if len(f) < 2 {
		return 0, 0, model.E("pop3.client", model.KindInvalid, "reply to STAT", nil)
	}
	if count, err = strconv.Atoi(f[0]); err != nil {
		return 0, 0, model.E("pop3.client", model.KindInvalid, "reply to STAT", err)
	}
	if size, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return 0, 0, model.E("pop3.client", model.KindInvalid, "reply to STAT", err)
	}
	return count, size, nil
}

// UIDs returns the unique id of each message by its number.
func (c *Client) UIDs() (map[int]string, error) {
	lines, err := c.Lines("UIDL")
	if err != nil {
		return nil, err
	}
	ids := make(map[int]string, len(lines))
	for _, l := range lines {
		num, id, _ := strings.Cut(l, " ")
		n, err := strconv.Atoi(num)
		if err != nil {
			return nil, model.E("pop3.client", model.KindInvalid, "reply to UIDL", err)
		}
		ids[n] = id
	}
	return ids, nil
}

// Retr copies message n to w.
func (c *Client) Retr(n int, w io.Writer) error { return c.Multi("RETR "+strconv.Itoa(n), w) }

// Dele marks message n for deletion.
func (c *Client) Dele(n int) error {
	_, err := c.Command("DELE " + strconv.Itoa(n))
	return err
}

// Quit carries out the deletions and closes the stream.
func (c *Client) Quit() error {
	_, err := c.Command("QUIT")
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}
