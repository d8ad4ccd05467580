// Package org is the organization as typed objects over the directory: servers,
// storage groups, stores, virtual servers and recipients. Nothing above it
// handles distinguished names or attributes.
//
// Configuration is read as one immutable Config, rebuilt whenever an object
// under the organization changes; holders of an old one keep a consistent
// picture. Recipients are looked up one at a time through indexes and remembered
// until the directory changes.
//
// Locks: Org.mu guards the watchers, cache.mu the remembered recipients. Neither
// is held while the other is taken or the directory is asked.
package org

import (
	"context"
	"strings"
	"time"

	"rialto/internal/model"
)

// Config is the configuration of an organization as one server sees it. It is
// immutable.
type Config struct {
	Organization Organization
	Server       Server // this one
	Servers      []Server
	// Domains are those the organization is responsible for, lower case, the
	// primary one first (recipient policies' gatewayProxy).
	Domains []Domain
	USN     int64 // of the directory when it was read
}

// Domain is an SMTP domain of the recipient policies.
type Domain struct {
	Name string
	// Authoritative: an address that does not exist is refused. Otherwise it may
	// exist in another system that shares the domain, and is relayed there.
	Authoritative bool
}

// Domain finds a domain by name, without case; ok is false if the organization
// is not responsible for it.
func (c *Config) Domain(name string) (d Domain, ok bool) {
	for _, d := range c.Domains {
		if strings.EqualFold(d.Name, name) {
			return d, true
		}
	}
	return Domain{}, false
}

// Store finds a store of any server by its GUID.
func (c *Config) Store(g model.GUID) (st Store, server string, ok bool) {
	for _, s := range c.Servers {
		for _, sg := range s.StorageGroups {
			for _, st := range sg.Stores {
				if st.GUID == g {
					return st, s.Name, true
				}
			}
		}
	}
	return Store{}, "", false
}

// Organization is the msExchOrganizationContainer and its global settings.
type Organization struct {
	GUID          model.GUID
	Name          string
	LegacyDN      string // /o=Name
	MixedMode     bool
	MaxReceive    int64 // octets of a message, 0: no limit (delivContLength)
	MaxSend       int64 // octets, 0: no limit (submissionContLength)
	MaxRecipients int   // per message, 0: no limit (msExchRecipLimit)
}

// Server is an msExchExchangeServer.
type Server struct {
	GUID           model.GUID
	Name           string
	FQDN           string // host name in banners and Received lines
	LegacyDN       string
	AdminGroup     string
	RoutingGroup   string
	FrontEnd       bool
	StorageGroups  []StorageGroup
	VirtualServers []VirtualServer
}

// StorageGroup is an msExchStorageGroup.
type StorageGroup struct {
	GUID     model.GUID
	Name     string
	Recovery bool
	Stores   []Store
}

// Store is an msExchPrivateMDB or msExchPublicMDB.
type Store struct {
	GUID          model.GUID
	Name          string
	Public        bool
	MountAtStart  bool          // msExchEDBOffline is not TRUE
	WarnQuota     int64         // octets, 0: none (mDBStorageQuota)
	SendQuota     int64         // octets (mDBOverQuotaLimit)
	HardQuota     int64         // octets (mDBOverHardQuotaLimit)
	KeepItems     time.Duration // deleted items (garbageCollPeriod)
	KeepMailboxes time.Duration // deleted mailboxes (msExchMailboxRetentionPeriod)
	UntilBackup   bool          // and deleted ones until they are in a backup (deletedItemFlags)
	QuotaSchedule Schedule      // when warnings are sent (quotaNotificationSchedule)
	Created       bool          // its database has been made once (msExchDatabaseCreated)
	// Maintenance is when the database is maintained (activationSchedule), if
	// OwnMaintenance; otherwise it is at night, see MaintenanceWindow.
	Maintenance    Schedule
	OwnMaintenance bool
}

// Protocol names the kind of a virtual server.
type Protocol string

// The protocols of virtual servers.
const (
	SMTP Protocol = "SMTP"
	IMAP Protocol = "IMAP4"
	POP  Protocol = "POP3"
	NNTP Protocol = "NNTP"
	HTTP Protocol = "HTTP"
)

// VirtualServer is a protocolCfg…Server: one configuration of one protocol.
type VirtualServer struct {
	GUID           model.GUID
	Protocol       Protocol
	Name           string        // "Default SMTP Virtual Server"
	Enabled        bool          // started with the server
	Bindings       []Binding     // plain, STARTTLS offered (msExchServerBindings)
	SecureBindings []Binding     // TLS from the first octet (msExchSecureBindings)
	MaxConnections int           // 0: no limit (msExchMaxIncomingConnections)
	IdleTimeout    time.Duration // 0: the protocol's default (msExchIncomingConnectionTimeout)
	SMTP           SMTPSettings  // of an SMTP virtual server
}

// Binding is where a virtual server listens.
type Binding struct {
	Address string // "" for all
	Port    int
}

// SMTPSettings are those of an SMTP virtual server. Zero limits mean none.
type SMTPSettings struct {
	Submission     bool            // mail is taken from signed-in users only (RFC 6409)
	FQDN           string          // "" for the server's
	MaxMessageSize int64           // octets; 0: the organization's
	MaxRecipients  int             // per message
	MaxHops        int             // Received lines before a loop is assumed
	SmartHost      string          // host, host:port or [address]; "": deliver by MX
	Retry          []time.Duration // first, second, third, then the last again and again
	DelayNotice    time.Duration   // after which the sender is told of a delay
	Expire         time.Duration   // after which undelivered mail is returned
	RelayFor       []string        // addresses and subnets (CIDR) that may relay unauthenticated
	RelayForAuth   bool            // signed-in users may relay
	Masquerade     string
}

// RecipientKind says what a recipient is.
type RecipientKind uint8

// The kinds of recipients. 0 is an object without mail, which only List, Find
// and Recipient return.
const (
	Mailbox      RecipientKind = iota + 1 // mailbox-enabled user
	MailUser                              // mail-enabled user: has a target address
	Contact                               // has a target address
	Group                                 // distribution list
	PublicFolder                          //
	DynamicGroup                          // query-based distribution group
)

// Recipient is a mail-enabled object of the directory. It is shared: nobody
// changes it.
type Recipient struct {
	GUID          model.GUID
	SID           []byte // nil if it is no security principal
	Kind          RecipientKind
	User          bool   // an account, with mail or without
	Name          string // displayName, or the RDN
	Alias         string // mailNickname
	Account       string // sAMAccountName
	UPN           string // userPrincipalName
	DN            string // for administrators' eyes and LDAP; not to be taken apart
	LegacyDN      string
	Primary       model.Address   // primary SMTP address
	Addresses     []model.Address // all SMTP proxy addresses
	Target        model.Address   // where mail really goes (targetAddress); zero: none
	HideFromLists bool
	Disabled      bool // the account is disabled

	// Of a mailbox.
	MailboxGUID model.GUID
	StoreGUID   model.GUID // homeMDB
	HomeServer  string     // name of the server
	UseDefaults bool       // quotas are the store's
	WarnQuota   int64      // octets, 0: none
	SendQuota   int64
	HardQuota   int64
	KeepItems   time.Duration // own retention of deleted items, 0: the store's (garbageCollPeriod)
	UntilBackup bool          // deletedItemFlags, where KeepItems is not 0

	// Delivery.
	ForwardTo     model.GUID   // altRecipient; zero: none
	KeepCopy      bool         // deliverAndRedirect
	RequireAuth   bool         // msExchRequireAuthToSendTo
	MaxReceive    int64        // octets, 0: the organization's (delivContLength)
	MaxSend       int64        // octets, 0: the organization's (submissionContLength)
	MaxRecipients int          // per message; 0: the organization's
	AcceptOnly    []model.GUID // authOrig
	Reject        []model.GUID // unauthOrig
	AcceptMembers []model.GUID // dLMemSubmitPerms: groups whose members may send
	RejectMembers []model.GUID // dLMemRejectPerms
	SendOnBehalf  []model.GUID // publicDelegates

	// Of a group.
	ReportToSender bool // reportToOriginator: bounces go to the sender
	ReportToOwner  bool
	Owner          model.GUID // managedBy
	HideMembers    bool       // hideDLMembership

	// Protocols that the user may not use (protocolSettings).
	NoPOP, NoIMAP, NoHTTP bool
}

// Directory is what transport and the heads need of the organization. *Org is
// one; tests may bring their own.
type Directory interface {
	// Config returns the present configuration.
	Config() *Config
	// Resolve finds a recipient by an SMTP proxy address. KindNotFound if there
	// is none; KindUnavailable if the answer is not certain, so that nobody is
	// told for good that an address does not exist.
	Resolve(ctx context.Context, a model.Address) (*Recipient, error)
	// Recipient finds one by its GUID.
	Recipient(ctx context.Context, g model.GUID) (*Recipient, error)
	// Members returns the mail-enabled direct members of a group.
	Members(ctx context.Context, group model.GUID) ([]*Recipient, error)
}
