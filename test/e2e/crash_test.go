package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/message"
	"rialto/internal/wire/imap"
	"rialto/internal/wire/smtp"
)

// crash keeps the books of messages handed in while the server is killed again
// and again.
type crash struct {
	*rialto
	users map[string]string // password by account

	mu    sync.Mutex
	taken map[string][]string // accepted: recipients by Message-ID
	tried map[string]string   // digest by Message-ID of all that were sent

	boxes map[string]*box
}

// box is what is known of a mailbox.
type box struct {
	validity uint32
	next     uint64            // UIDs below were checked
	uids     map[string]uint64 // by Message-ID
	seen     map[uint64]string // Message-ID by UID, as an IMAP client saw it before a crash
}

// write makes a message of 1 to 40 KB.
func (k *crash) write(id string, rnd *rand.Rand) string {
	var b strings.Builder
	for n := 1<<10 + rnd.IntN(40<<10)*rnd.IntN(2); b.Len() < n; {
		fmt.Fprintf(&b, "%x %x %x\r\n", rnd.Uint64(), rnd.Uint64(), rnd.Uint64())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried[id] = sum(b.String())
	return "From: x@outside.test\r\nSubject: " + id + "\r\nMessage-ID: " + id + "\r\n\r\n" + b.String()
}

// load sends over one connection until it breaks, and counts what got its 250.
func (k *crash) load(round, worker int, c *smtp.Client) {
	rnd := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
	names := []string{"alice", "bob", "carol", "dave"}
	for n := 0; ; n++ {
		id := fmt.Sprintf("<%d.%d.%d@outside.test>", round, worker, n)
		body := k.write(id, rnd)
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		to := names[:1]
		if n%3 == 0 {
			to = names[:2]
		}
		var rcpts []string
		for _, u := range to {
			rcpts = append(rcpts, u+"@contoso.test")
		}
		if deliver(c, "x@outside.test", body, rcpts...) != nil {
			return
		}
		k.mu.Lock()
		k.taken[id] = append([]string(nil), to...)
		k.mu.Unlock()
	}
}

// observe notes which UID is which message, as a client does that watches a
// mailbox, until the connection breaks.
func (k *crash) observe(user string, c *imap.Client) {
	b := k.boxes[user]
	sel, err := c.Select("INBOX")
	if err != nil {
		return
	}
	k.mu.Lock()
	if b.validity == 0 {
		b.validity = sel.UIDValidity
	}
	k.mu.Unlock()
	for from := uint64(max(1, sel.UIDNext)); ; time.Sleep(20 * time.Millisecond) {
		got, err := c.Fetch(true, fmt.Sprintf("%d:*", from), "(UID ENVELOPE)")
		if err != nil {
			return
		}
		for _, f := range got {
			uid, _ := f.Items.Get("UID")
			env, _ := f.Items.Get("ENVELOPE")
			if len(env.List) != 10 || uid.Num() < from {
				continue
			}
			k.mu.Lock()
			b.seen[uid.Num()] = env.List[9].Str
			k.mu.Unlock()
			from = max(from, uid.Num()+1)
		}
	}
}

// round runs the load for a while and kills the server under it.
func (k *crash) round(n int) {
	var all sync.WaitGroup
	for user, pw := range k.users {
		c := k.imap(user, pw)
		all.Go(func() { k.observe(user, c) })
	}
	for w := range 8 {
		c, _ := k.smtp("smtp")
		all.Go(func() { k.load(n, w, c) })
	}
	time.Sleep(700*time.Millisecond + time.Duration(rand.IntN(500))*time.Millisecond)
	k.kill()
	all.Wait()
}

// check reads what is new in a mailbox and finds every accepted message once.
func (k *crash) check(user string) {
	t, b := k.t, k.boxes[user]
	c := k.imap(user, k.users[user])
	defer c.Close()
	sel, err := c.Select("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	if sel.UIDValidity != b.validity {
		t.Fatalf("UIDVALIDITY of %s was %d, is %d", user, b.validity, sel.UIDValidity)
	}
	got, err := c.Fetch(true, fmt.Sprintf("%d:*", b.next), "(UID BODY.PEEK[])")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		uid, _ := f.Items.Get("UID")
		mail, _ := f.Items.Get("BODY[]")
		if uid.Num() < b.next { // n:* names the last message even if it is older
			continue
		}
		head, body, _ := strings.Cut(mail.Str, "\r\n\r\n")
		id := message.Header(head + "\r\n").Get("Message-ID")
		if other, twice := b.uids[id]; twice {
			t.Errorf("%s has %s twice: UIDs %d and %d", user, id, other, uid.Num())
		}
		if k.tried[id] != sum(body) {
			t.Errorf("%s has %s damaged: %d bytes", user, id, len(body))
		}
		b.uids[id] = uid.Num()
	}
	b.next = uint64(sel.UIDNext)
	for uid, id := range b.seen {
		if b.uids[id] != uid {
			t.Errorf("UID %d of %s was %s, which has UID %d now", uid, user, id, b.uids[id])
		}
	}
}

func (k *crash) missing() (out []string) {
	for id, to := range k.taken {
		for _, user := range to {
			if k.boxes[user].uids[id] == 0 {
				out = append(out, user+" lacks "+id)
			}
		}
	}
	return out
}

// TestKill kills the server 20 times while 8 connections deliver. What got its
// 250 is there once and whole, and UIDs that were seen still name the same
// messages. Mail for mailboxes of two databases goes through the queue.
func TestKill(t *testing.T) { killing(t, 20) }

func killing(t *testing.T, rounds int, more ...string) {
	r := start(t, append([]string{"--user", "carol:pw3", "--user", "dave:pw4"}, more...)...)
	secondStore(t, r, "carol")
	contains(t, "mailbox of carol", r.cli("mailbox", "show", "carol"), "Second Store")
	k := &crash{rialto: r, users: map[string]string{"alice": "pw1", "bob": "pw2", "carol": "pw3", "dave": "pw4"},
		taken: map[string][]string{}, tried: map[string]string{}, boxes: map[string]*box{}}
	for user := range k.users {
		k.boxes[user] = &box{next: 1, uids: map[string]uint64{}, seen: map[uint64]string{}}
	}
	for n := range rounds {
		before := len(k.taken)
		k.round(n)
		if len(k.taken) == before {
			t.Fatalf("round %d: nothing was accepted", n)
		}
		k.run()
		eventually(t, "an empty queue", func() bool { return strings.Contains(k.cli("queue", "list"), "empty") })
		for user := range k.users {
			k.check(user)
		}
		if m := k.missing(); len(m) > 0 {
			t.Errorf("round %d: %d of %d accepted messages are missing, such as %s", n, len(m), len(k.taken), m[0])
		}
		if t.Failed() {
			return
		}
	}
	both, seen := 0, 0
	for _, to := range k.taken {
		both += len(to) - 1
	}
	for user, b := range k.boxes {
		seen += len(b.seen)
		contains(t, "mailbox verify "+user, k.cli("mailbox", "verify", user), " 0 problems")
	}
	k.verified()
	t.Logf("%d messages accepted, %d of them for two, %d seen by IMAP before a crash", len(k.taken), both, seen)
	if both == 0 || seen == 0 {
		t.Error("the load was not what it should be")
	}
}
