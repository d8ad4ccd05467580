package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
)

var ctx = context.Background()

func newDir(t testing.TB) *embedded.DB {
	t.Helper()
	d, err := embedded.Open(ctx, memory.New(memory.Options{}), embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func whole() Plan {
	return Plan{ForestPrep: true, DomainPrep: true, Install: true, Organization: "Contoso", DataDir: "/data", Enable: []org.Protocol{org.IMAP}}
}

// volatile are attributes that differ from one directory to the next.
var volatile = []string{"objectGUID", "objectSid", "uSNCreated", "uSNChanged", "whenCreated", "whenChanged", "siteFolderGUID", "msExchOABFolder",
	"msExchAdmins", "msExchDomainLocalGroupGuid", "msExchDomainLocalGroupSid", "msExchDomainGlobalGroupGuid", "msExchDomainGlobalGroupSid"}

// dump returns every entry outside the schema, one attribute a line.
func dump(t testing.TB, d directory.Directory, skip ...string) string {
	t.Helper()
	var out []string
	for _, base := range []string{d.Root().Domain, d.Root().Configuration} {
		_, err := d.Search(ctx, directory.AsSystem, &directory.Search{Base: base, Scope: directory.Subtree}, func(e *directory.Entry) error {
			for _, a := range e.Attributes {
				if slices.Contains(skip, a.Name) {
					continue
				}
				vs := slices.Clone(a.Values)
				slices.SortFunc(vs, bytes.Compare)
				out = append(out, fmt.Sprintf("%s: %s: %q", e.DN, a.Name, vs))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// diff returns the first lines that only one of two dumps has.
func diff(a, b string) string {
	in := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		in[l]++
	}
	var out []string
	for _, l := range strings.Split(b, "\n") {
		if in[l]--; in[l] < 0 {
			out = append(out, "+ "+l)
		}
	}
	for l, n := range in {
		if n > 0 {
			out = append(out, "- "+l)
		}
	}
	return strings.Join(out[:min(len(out), 10)], "\n")
}

func TestWholeSetup(t *testing.T) {
	d := newDir(t)
	var log bytes.Buffer
	var events []Event
	var seen []Progress
	p := whole()
	p.Log, p.Event = &log, func(e Event) { events = append(events, e) }
	p.Clock = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	if err := Run(ctx, d, p, func(p Progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].ID != 1001 || events[0].Source != "MSExchangeSetup" {
		t.Errorf("events %+v", events)
	}
	last := seen[len(seen)-1]
	if seen[0].N != 1 || last.N != last.Total || last.Total != 21 {
		t.Errorf("progress from %+v to %+v", seen[0], last)
	}
	for _, want := range []string{"[03:04:05] Entering CForestPrep::ExtendSchema\r\n", "[03:04:05] Leaving CServerInstall::Commit\r\n", "completed successfully"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	s, err := Installed(ctx, d)
	if err != nil || s.SchemaVersion != 6870 || !s.Forest || !s.Domain || s.Organization != "Contoso" || !slices.Equal(s.Servers, []string{"MAIL"}) {
		t.Errorf("state %+v, %v", s, err)
	}
	checkTree(t, d)

	before := dump(t, d)
	if err := Run(ctx, d, whole(), nil); err != nil {
		t.Fatal(err)
	}
	if x := diff(before, dump(t, d)); x != "" {
		t.Errorf("the second run changed:\n%s", x)
	}
}

// checkTree compares some of the tree with the specification.
func checkTree(t *testing.T, d directory.Directory) {
	t.Helper()
	const ex = "CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test"
	const o = "CN=Contoso," + ex
	const ag = "CN=First Administrative Group,CN=Administrative Groups," + o
	const srv = "CN=MAIL,CN=Servers," + ag
	const sg = "CN=First Storage Group,CN=InformationStore," + srv
	const lists = "CN=Address Lists Container," + o
	for _, c := range []struct{ dn, class, attr, want string }{
		{ex, "msExchConfigurationContainer", "", ""},
		{o, "msExchOrganizationContainer", "objectVersion", "6903"},
		{o, "msExchOrganizationContainer", "legacyExchangeDN", "/o=Contoso"},
		{o, "msExchOrganizationContainer", "msExchMixedMode", "FALSE"},
		{ag, "msExchAdminGroup", "legacyExchangeDN", "/o=Contoso/ou=First Administrative Group"},
		{ag, "msExchAdminGroup", "siteFolderServer", "CN=Public Folder Store (MAIL)," + sg},
		{srv, "msExchExchangeServer", "legacyExchangeDN", "/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Servers/cn=MAIL"},
		{srv, "msExchExchangeServer", "serialNumber", "Version 6.5 (Build 6944.4)"},
		{srv, "msExchExchangeServer", "versionNumber", "6944"},
		{srv, "msExchExchangeServer", "msExchHomeRoutingGroup", "CN=First Routing Group,CN=Routing Groups," + ag},
		{"CN=First Routing Group,CN=Routing Groups," + ag, "msExchRoutingGroup", "msExchRoutingGroupMembersDN", srv},
		{"CN=First Routing Group,CN=Routing Groups," + ag, "msExchRoutingGroup", "msExchRoutingMasterDN", srv},
		{"CN=Mailbox Store (MAIL)," + sg, "msExchPrivateMDB", "garbageCollPeriod", "604800"},
		{"CN=Mailbox Store (MAIL)," + sg, "msExchPrivateMDB", "msExchMailboxRetentionPeriod", "2592000"},
		{"CN=Mailbox Store (MAIL)," + sg, "msExchPrivateMDB", "msExchUseOAB", "CN=Default Offline Address List,CN=Offline Address Lists," + lists},
		{"CN=Mailbox Store (MAIL)," + sg, "msExchPrivateMDB", "msExchEDBFile", "/data/mdbdata/priv1.edb"},
		{"CN=Public Folder Store (MAIL)," + sg, "msExchPublicMDB", "messageSizeLimit", "10240"},
		{"CN=Public Folders,CN=Folder Hierarchies," + ag, "msExchPFTree", "msExchPFTreeType", "1"},
		{"CN=1,CN=SMTP,CN=Protocols," + srv, "protocolCfgSMTPServer", "msExchServerBindings", ":25:"},
		{"CN=2,CN=SMTP,CN=Protocols," + srv, "protocolCfgSMTPServer", "msExchSecureBindings", ":465:"},
		{"CN=1,CN=IMAP4,CN=Protocols," + srv, "protocolCfgIMAPServer", "msExchServerAutoStart", "TRUE"},
		{"CN=1,CN=POP3,CN=Protocols," + srv, "protocolCfgPOPServer", "msExchServerAutoStart", "FALSE"},
		{"CN=1,CN=NNTP,CN=Protocols," + srv, "protocolCfgNNTPServer", "msExchServerAutoStart", "FALSE"},
		{"CN=Exchange,CN=1,CN=HTTP,CN=Protocols," + srv, "msExchProtocolCfgHTTPVirtualDirectory", "adminDisplayName", "Exchange"},
		{"CN=Default Global Address List,CN=All Global Address Lists," + lists, "addressBookContainer", "displayName", "Default Global Address List"},
		{"CN=All Users,CN=All Address Lists," + lists, "addressBookContainer", "displayName", "All Users"},
		{"CN=Recipient Update Service (CONTOSO),CN=Recipient Update Services," + lists, "msExchAddressListService", "msExchDomainLink", "DC=contoso,DC=test"},
		{"CN=Recipient Update Service (Enterprise Configuration),CN=Recipient Update Services," + lists, "msExchAddressListService", "msExchPollInterval", "60"},
		{"CN=Default Policy,CN=Recipient Policies," + o, "msExchRecipientPolicy", "gatewayProxy", "SMTP:@contoso.test"},
		{"CN=Message Delivery,CN=Global Settings," + o, "msExchMessageDeliveryConfig", "delivContLength", "10240"},
		{"CN=Outlook Mobile Access,CN=Global Settings," + o, "msExchOmaConfigurationContainer", "msExchOmaAdminWirelessEnable", "2"},
		{"CN=Microsoft Exchange System Objects,DC=contoso,DC=test", "msExchSystemObjectsContainer", "objectVersion", "6936"},
		{"CN=Exchange Enterprise Servers,CN=Users,DC=contoso,DC=test", "group", "member", "CN=Exchange Domain Servers,CN=Users,DC=contoso,DC=test"},
		{"CN=Exchange Domain Servers,CN=Users,DC=contoso,DC=test", "group", "member", "CN=MAIL,CN=Computers,DC=contoso,DC=test"},
	} {
		e, err := directory.Get(ctx, d, directory.AsSystem, c.dn)
		if err != nil {
			t.Errorf("%s: %v", c.dn, err)
			continue
		}
		if !e.Is(c.class) || c.attr != "" && e.Text(c.attr) != c.want {
			t.Errorf("%s: %s is %q, want %q; classes %v", c.dn, c.attr, e.Texts(c.attr), c.want, e.Texts("objectClass"))
		}
	}
	e, err := directory.Get(ctx, d, directory.AsSystem, "CN=Exchange Domain Servers,CN=Users,DC=contoso,DC=test", "memberOf")
	if err != nil || len(e.Texts("memberOf")) != 2 {
		t.Errorf("Exchange Domain Servers is in %v, %v", e.Texts("memberOf"), err)
	}
}

// stopping is a directory whose writes fail after some have passed.
type stopping struct {
	*embedded.DB
	left int
}

var errStopped = errors.New("the power went")

func (s *stopping) write(do func() error) error {
	if s.left == 0 {
		return errStopped
	}
	s.left--
	return do()
}

func (s *stopping) Add(ctx context.Context, p directory.Principal, dn string, a []directory.Attribute) error {
	return s.write(func() error { return s.DB.Add(ctx, p, dn, a) })
}

func (s *stopping) Modify(ctx context.Context, p directory.Principal, dn string, m []directory.Modification) error {
	return s.write(func() error { return s.DB.Modify(ctx, p, dn, m) })
}

func (s *stopping) Rename(ctx context.Context, p directory.Principal, dn, rdn, parent string) error {
	return s.write(func() error { return s.DB.Rename(ctx, p, dn, rdn, parent) })
}

func TestInterruptedAtEveryWrite(t *testing.T) {
	ref := newDir(t)
	if err := Run(ctx, ref, whole(), nil); err != nil {
		t.Fatal(err)
	}
	want := dump(t, ref, volatile...)
	stride := 7
	if testing.Short() {
		stride = 31
	}
	stopped := 0
	for n := 0; ; n += stride {
		d := newDir(t)
		err := Run(ctx, &stopping{d, n}, whole(), nil)
		if err == nil {
			break
		}
		if !errors.Is(err, errStopped) {
			t.Fatalf("after %d writes: %v", n, err)
		}
		stopped++
		if err := Run(ctx, d, whole(), nil); err != nil {
			t.Fatalf("again after %d writes: %v", n, err)
		}
		if x := diff(want, dump(t, d, volatile...)); x != "" {
			t.Errorf("interrupted after %d writes, the tree differs:\n%s", n, x)
		}
	}
	if stopped < 3 {
		t.Errorf("stopped %d times only", stopped)
	}
}

func TestStoppedByContext(t *testing.T) {
	d := newDir(t)
	c, cancel := context.WithCancel(ctx)
	err := Run(c, d, whole(), func(p Progress) {
		if p.N == 8 {
			cancel()
		}
	})
	if !model.IsKind(err, model.KindCanceled) {
		t.Fatalf("err = %v", err)
	}
	if s, err := Installed(ctx, d); err != nil || s.Domain || !s.Forest || s.Organization != "" {
		t.Errorf("state %+v, %v", s, err)
	}
	if err := Run(ctx, d, whole(), nil); err != nil {
		t.Fatal(err)
	}
}
