package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/wire/smtp"
)

// Limits of one connection to another server.
const (
	maxPerConnection  = 20  // messages
	maxPerTransaction = 100 // recipients (RFC 5321 4.5.3.1.8)
)

// Timeouts of RFC 5321 4.5.3.2. While a message is sent reads have that of the
// final dot, which covers all the others.
const (
	commandTimeout = 5 * time.Minute
	dataTimeout    = 10 * time.Minute
	writeTimeout   = 3 * time.Minute
)

// peer is a worker's connection to its hop, opened when first needed.
type peer struct {
	t      *Transport
	hop    Hop
	conn   *deadlineConn
	stop   func() bool
	client *smtp.Client
	host   string
	sent   int
	// unreached is set when no host of the hop answered.
	unreached string
}

// deadlineConn gives every read and write its time.
type deadlineConn struct {
	net.Conn
	read time.Duration
}

// Read implements io.Reader.
func (c *deadlineConn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.read)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements io.Writer.
func (c *deadlineConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// close says goodbye, as far as that goes at once.
func (p *peer) close() {
	if p.client == nil {
		return
	}
	p.conn.read = 5 * time.Second
	_ = p.client.Quit()
	p.drop()
}

func (p *peer) drop() {
	if p.conn != nil {
		p.stop()
		p.conn.Close()
	}
	p.conn, p.client, p.sent = nil, nil, 0
}

// relay sends a message to the recipients idx and says what became of each.
func (p *peer) relay(ctx context.Context, r *Record, idx []int) []outcome {
	out := make([]outcome, len(idx))
	groups := map[model.Address][]int{} // positions in idx by return path
	var order []model.Address
	for k, i := range idx {
		from := r.From
		if !r.Rcpts[i].Return.IsZero() {
			from = r.Rcpts[i].Return
		}
		if groups[from] == nil {
			order = append(order, from)
		}
		groups[from] = append(groups[from], k)
	}
	for _, from := range order {
		for ks := groups[from]; len(ks) > 0; {
			n := min(len(ks), maxPerTransaction)
			p.transaction(ctx, r, from, idx, ks[:n], out)
			ks = ks[n:]
		}
	}
	return out
}

// transaction sends once. A connection that was used before may have been
// closed by the other side: then it is tried again on a fresh one.
func (p *peer) transaction(ctx context.Context, r *Record, from model.Address, idx, ks []int, out []outcome) {
	if p.sent >= maxPerConnection {
		p.close()
	}
	reused := p.client != nil
	if bad := p.connect(ctx); bad != nil {
		p.failAll(bad, ks, out)
		return
	}
	env := p.envelope(r, from, idx, ks)
	p.conn.read = dataTimeout
	res, err := p.client.Send(env, p.body(ctx, r))
	if err != nil && reused && res != nil && res.Mail == nil {
		p.drop()
		if bad := p.connect(ctx); bad != nil {
			p.failAll(bad, ks, out)
			return
		}
		p.conn.read = dataTimeout
		res, err = p.client.Send(env, p.body(ctx, r))
	}
	p.sent++
	passed := p.client.Extensions().Has("DSN")
	for n, k := range ks {
		out[k] = p.verdict(res, n, err, passed)
	}
	if err != nil {
		p.drop()
	}
	p.t.metrics.relayed(out)
}

func (p *peer) failAll(bad *hopError, ks []int, out []outcome) {
	o := outcome{state: Ready, status: bad.status, diag: bad.text}
	if bad.permanent {
		o.state = Failed
	} else {
		p.unreached = bad.text
	}
	for _, k := range ks {
		out[k] = o
	}
}

func (p *peer) envelope(r *Record, from model.Address, idx, ks []int) *smtp.Envelope {
	env := &smtp.Envelope{From: from, Size: r.Size + int64(len(r.Trace)), Body: r.Body, Ret: r.Ret, EnvID: r.EnvID, Bare: smtp.ConvertBare}
	for _, k := range ks {
		c := &r.Rcpts[idx[k]]
		env.Rcpts = append(env.Rcpts, smtp.Rcpt{To: c.To, Notify: c.Notify, ORcptType: c.ORcptType, ORcpt: c.ORcpt})
	}
	return env
}

func (p *peer) body(ctx context.Context, r *Record) io.Reader {
	return io.MultiReader(bytes.NewReader(r.Trace), p.t.queue.body(ctx, r))
}

// verdict reads the n-th recipient's fate out of what the server said.
func (p *peer) verdict(res *smtp.Result, n int, err error, passed bool) outcome {
	said := res.Data
	switch {
	case res.Mail != nil && !res.Mail.Positive():
		said = res.Mail
	case res.Rcpts[n] != nil && !res.Rcpts[n].Positive():
		said = res.Rcpts[n]
	}
	if said == nil {
		o := temporary("4.4.2", "The connection to "+p.host+" was lost")
		if err == nil {
			o.diag = "The server " + p.host + " gave no answer"
		}
		o.remote = p.host
		return o
	}
	o := outcome{state: Relayed, status: said.Enhanced, diag: said.Error(), remote: p.host}
	switch {
	case said.Permanent():
		o.state = Failed
	case said.Temporary():
		o.state = Ready
	case passed:
		o.state = Passed
	}
	if o.status == "" {
		o.status = strconv.Itoa(said.Code/100) + ".0.0"
	}
	return o
}

// connect opens a session with the first host of the hop that has one for us.
func (p *peer) connect(ctx context.Context) *hopError {
	if p.client != nil {
		return nil
	}
	list, bad := p.t.targets(ctx, p.hop)
	if bad != nil {
		return bad
	}
	last := &hopError{false, "4.4.1", "No host of " + p.hop.Name + " answers"}
	gone := 0
	for _, to := range list {
		ips, bad := p.t.addresses(ctx, to.host)
		if bad != nil {
			if last = bad; bad.permanent {
				gone++
			}
			continue
		}
		for _, ip := range ips {
			if last = p.open(ctx, to, ip, true); last == nil {
				p.t.sched.reached(p.hop)
				return nil
			}
			if ctx.Err() != nil || last.permanent {
				return last
			}
		}
	}
	last.permanent = last.permanent && gone == len(list)
	return last
}

// open makes a session with one address. encrypt false is the second try with
// a server whose TLS does not work.
func (p *peer) open(ctx context.Context, to target, ip string, encrypt bool) *hopError {
	failed := func(err error) *hopError {
		p.drop()
		return &hopError{false, "4.4.1", to.host + ": " + err.Error()}
	}
	nc, err := p.t.opt.Dialer.Dial(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(to.port)))
	if err != nil {
		return failed(err)
	}
	p.conn, p.host = &deadlineConn{nc, commandTimeout}, to.host
	p.stop = context.AfterFunc(ctx, func() { nc.Close() })
	c := smtp.NewClient(p.conn)
	greeting, err := c.Greet()
	if err != nil {
		return failed(err)
	}
	cfg := p.t.opt.Org.Config()
	me := p.t.hostname(cfg)
	if word, _, _ := strings.Cut(greeting.Text(), " "); strings.EqualFold(word, me) {
		p.drop()
		return &hopError{true, "5.4.6", "The next hop " + to.host + " is this server itself"}
	}
	if err := c.Hello(me); err != nil {
		return failed(err)
	}
	if encrypt && c.Extensions().Has("STARTTLS") {
		if err := p.startTLS(ctx, c, to.host); err != nil {
			p.drop()
			if p.t.opt.VerifyTLS {
				return failed(err)
			}
			return p.open(ctx, to, ip, false)
		}
		if err := c.Hello(me); err != nil {
			return failed(err)
		}
	}
	p.client = c
	return nil
}

// startTLS encrypts the session. Unless certificates are to be verified any
// will do: without it the mail would go in clear.
func (p *peer) startTLS(ctx context.Context, c *smtp.Client, host string) error {
	d := *p.t.opt.Dialer
	if !p.t.opt.VerifyTLS {
		cfg := &tls.Config{MinVersion: tls.VersionTLS12}
		if d.TLSConfig != nil {
			cfg = d.TLSConfig.Clone()
		}
		cfg.InsecureSkipVerify = true
		d.TLSConfig = cfg
	}
	return c.StartTLS(func() (io.ReadWriter, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		tc, err := d.ClientTLS(ctx, p.conn, host)
		if err != nil {
			return nil, err
		}
		return tc, nil
	})
}
