package org

import (
	"rialto/internal/directory"
	"rialto/internal/model"
)

// NewUser is what CreateUser makes.
type NewUser struct {
	Account     string // sAMAccountName
	UPN         string // "": account@DNS domain
	DisplayName string // "": given name and surname, or the account
	GivenName   string
	Initials    string
	Surname     string
	Credential  string // PHC string of the password; "": nobody signs in
	Container   string // DN; "": CN=Users of the domain
	Disabled    bool
	Attributes  []directory.Attribute // anything else
}

// NewContact is what CreateContact makes.
type NewContact struct {
	Name       string // RDN and display name
	Alias      string // "": made from the name
	GivenName  string
	Surname    string
	Target     model.Address // where mail goes
	Container  string        // DN; "": CN=Users of the domain
	Attributes []directory.Attribute
}

// NewGroup is what CreateGroup makes: a universal group.
type NewGroup struct {
	Name       string // RDN and display name
	Account    string // sAMAccountName; "": the name
	Alias      string // "": the group has no addresses
	Security   bool   // a security group, otherwise for distribution only
	Container  string // DN; "": CN=Users of the domain
	Members    []model.GUID
	Owner      model.GUID
	Attributes []directory.Attribute
}

// NewMailbox is what MailboxEnable gives a user.
type NewMailbox struct {
	Store     model.GUID      // zero: the first mailbox store of this server
	Alias     string          // "": the account name
	Addresses []model.Address // more proxy addresses; the policies give the primary one
	Mailbox   model.GUID      // one that is there already, disconnected; zero: a new one
}

// Limits of a mailbox or recipient. Nil leaves a limit as it is, a value below
// zero removes it.
type Limits struct {
	UseDefaults   *bool  // quotas are the store's
	WarnQuota     *int64 // octets; kept as KB
	SendQuota     *int64
	HardQuota     *int64
	MaxReceive    *int64
	MaxSend       *int64
	MaxRecipients *int64
}
