package embedded

import (
	"fmt"
	"sync"
	"testing"

	"rialto/internal/directory"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Readers go on, without data races, while others write, rename and extend the
// schema; nobody is shown a name of another time for good.
func TestReadersBesideWriters(t *testing.T) {
	d := newDB(t)
	dn := addUser(t, d, "a0")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := directory.Find(ctx, d, admin, &directory.Search{Base: domain, Scope: directory.Subtree, Filter: ldap.Equal("objectClass", "user")})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if err := d.ExtendSchema(ctx, admin, func(int, int) {}); err != nil {
		t.Error(err)
	}
	for i := range 200 {
		name := fmt.Sprintf("a%d", i+1)
		if err := d.Rename(ctx, admin, dn, "CN="+name, ""); err != nil {
			t.Fatal(err)
		}
		dn = "CN=" + name + "," + users
		if e, err := directory.Get(ctx, d, admin, dn); err != nil || e.DN != dn {
			t.Fatalf("%v, %v, want %s", e, err, dn)
		}
	}
	close(stop)
	wg.Wait()
}

// A reader of a state from before a rename must not leave the old name behind.
func TestOldNamesAreNotRemembered(t *testing.T) {
	d := newDB(t)
	dn := addUser(t, d, "before")
	snap, gen, err := d.snapshot(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if err := d.Rename(ctx, admin, dn, "CN=after", ""); err != nil {
		t.Fatal(err)
	}
	n, err := d.find(ctx, snap, dn)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := d.nameOf(ctx, snap, gen, n); err != nil || name.String() != dn {
		t.Fatal(name, err)
	}
	want := "CN=after," + users
	if e, err := directory.Get(ctx, d, admin, want); err != nil || e.DN != want {
		t.Fatalf("%v, %v", e, err)
	}
}

func TestPlacesThatHoldNothing(t *testing.T) {
	d := newDB(t)
	dn := addUser(t, d, "gone")
	e, err := directory.Get(ctx, d, admin, dn, "objectGUID")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(ctx, admin, dn); err != nil {
		t.Fatal(err)
	}
	tomb := directory.GUIDName(e.GUID())
	if err := d.Rename(ctx, admin, tomb, "CN=back", users); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("a tombstone was moved: %v", err)
	}
	ou := []directory.Attribute{directory.Attr("objectClass", "organizationalUnit")}
	for _, dn := range []string{"OU=x,DC=test", "OU=x", "OU=x,CN=Deleted Objects," + domain} {
		if err := d.Add(ctx, admin, dn, ou); !model.IsKind(err, model.KindNotFound) {
			t.Errorf("%s: %v", dn, err)
		}
	}
	if err := d.Add(ctx, admin, "OU=y,"+domain, ou); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename(ctx, admin, "OU=y,"+domain, "OU=y", "CN=Services,CN=Configuration,"+domain); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("moved to another naming context: %v", err)
	}
	if err := d.Rename(ctx, admin, "OU=y,"+domain, "OU=y", "DC=test"); err == nil {
		t.Error("moved out of the forest")
	}
}

func TestValueGivenTwice(t *testing.T) {
	d := newDB(t)
	dn := addUser(t, d, "a")
	err := d.Modify(ctx, admin, dn, []directory.Modification{{Op: directory.AddValues, Attr: directory.Attr("otherTelephone", "1", "1")}})
	if !model.IsKind(err, model.KindExists) {
		t.Errorf("the same value twice: %v", err)
	}
}

// A look-up that fails is no answer "nothing found".
func TestFailureIsNoAnswer(t *testing.T) {
	kv := memory.New(memory.Options{})
	d := open(t, kv)
	dn := addUser(t, d, "a")
	snap, gen, err := d.snapshot(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	q := &query{matcher: matcher{d: d, ctx: ctx, r: snap, names: gen, schema: d.schema.Load(), p: admin},
		s: &directory.Search{Base: domain, Scope: directory.Subtree, Filter: ldap.Equal("member", dn)}, base: 2}
	kv.PowerCut()
	if list, err := q.candidates(); err == nil && q.err == nil {
		t.Errorf("found %v without a directory", list)
	}
}

// What a user may not read must not be guessed through filters.
func TestFiltersTellNoSecrets(t *testing.T) {
	d := newDB(t)
	dn := addUser(t, d, "a")
	err := d.Modify(ctx, directory.AsSystem, dn, []directory.Modification{{Op: directory.Replace, Attr: directory.Attr("supplementalCredentials", "secret")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []directory.Principal{admin, user} {
		for _, text := range []string{"(supplementalCredentials=secret)", "(supplementalCredentials=*)", "(!(supplementalCredentials=x))", "(supplementalCredentials>=a)",
			"(|(supplementalCredentials=s*)(cn=nobody))", "(supplementalCredentials:=secret)", "(anr=secret)"} {
			f, err := ldap.ParseFilter(text)
			if err != nil {
				t.Fatal(text, err)
			}
			found, err := directory.Find(ctx, d, p, &directory.Search{Base: domain, Scope: directory.Subtree, Filter: f})
			if err != nil || len(found) != 0 {
				t.Errorf("%s finds %d, %v", text, len(found), err)
			}
		}
	}
}

func FuzzRows(f *testing.F) {
	o := &object{n: 5, parent: 2, rdn: ldap.AVA{Type: "CN", Value: "x"}, attrs: []attribute{{"cn", [][]byte{[]byte("x"), nil}}}}
	f.Add(o.encode())
	fa := &facts{domain: 3, config: 4, schemaHead: 5, deleted: map[dnt]dnt{3: 9}, host: "mail"}
	f.Add(fa.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeObject(1, b); err == nil {
			if _, err := decodeObject(1, o.encode()); err != nil {
				t.Error(err)
			}
		} else if !model.IsKind(err, model.KindCorrupt) {
			t.Error(err)
		}
		var fa facts
		_ = fa.decode(b) // any answer will do
	})
}
