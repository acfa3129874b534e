// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/rbac"
	"github.com/muster-identity/muster/rbac/bootstrap"
)

// Severity is how much harm a finding can do.
type Severity int

// From no harm to the most.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severities = [...]string{"info", "low", "medium", "high", "critical"}

// String is the name of the severity.
func (s Severity) String() string { return severities[s] }

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads a name.
func ParseSeverity(name string) (Severity, error) {
	at := slices.Index(severities[:], name)
	if at < 0 {
		return 0, fmt.Errorf("%q is no severity: %s", name, strings.Join(severities[:], ", "))
	}
	return Severity(at), nil
}

// A Finding is something in a policy that does harm, or is of no use.
type Finding struct {
	Severity Severity `json:"severity"`
	// Check is what was looked for, the same for all findings of its kind.
	Check string `json:"check"`
	// Object is what to mend, Role the role that it binds if it is a binding.
	Object rbac.Ref  `json:"object"`
	Role   *rbac.Ref `json:"role,omitempty"`
	// Subjects are those whom it concerns, in words.
	Subjects []string `json:"subjects,omitempty"`
	// Says is what is wrong, Mend what to do.
	Says string `json:"finding"`
	Mend string `json:"mend"`
}

// Review returns the findings on a policy, the worst first. With a usage, there
// are findings on what was not used in its time. What exists from the start is no
// finding, unless somebody has added to it.
func Review(p *Policy, used *Usage) []Finding {
	r := &review{Policy: p, roles: p.rules(), exists: p.accounts(), all: p.bindings(), bound: map[rbac.Ref]bool{}}
	for _, b := range r.all {
		r.bound[b.role] = true
		b.subjects = added(b)
		if len(b.subjects) == 0 {
			continue
		}
		r.harmful(b)
		r.open(b)
		r.dangling(b)
		if used != nil {
			r.unused(b, used)
		}
	}
	r.idle()
	slices.SortStableFunc(r.found, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return r.found
}

type review struct {
	*Policy
	roles  map[rbac.Ref][]rbacv1.PolicyRule
	exists interface{ Has(string) bool }
	all    []binding
	bound  map[rbac.Ref]bool
	found  []Finding
}

// added are the subjects of a binding that it does not have from the start.
func added(b binding) []rbacv1.Subject {
	if b.labels[bootstrappingLabel] == "" {
		return b.subjects
	}
	var initial []rbacv1.Subject
	for _, of := range bootstrap.ClusterRoleBindings() {
		if b.Namespace == "" && of.Name == b.Name {
			initial = of.Subjects
		}
	}
	for _, of := range bootstrap.RoleBindings() {
		if b.Namespace == of.Namespace && of.Name == b.Name {
			initial = of.Subjects
		}
	}
	return slices.DeleteFunc(slices.Clone(b.subjects), func(s rbacv1.Subject) bool { return slices.Contains(initial, s) })
}

func (r *review) report(b binding, severity Severity, check, says, mend string, subjects ...rbacv1.Subject) {
	f := Finding{Severity: severity, Check: check, Object: b.Ref, Role: &b.role, Says: says, Mend: mend}
	for _, s := range subjects {
		f.Subjects = append(f.Subjects, rbac.NameOf(s))
	}
	r.found = append(r.found, f)
}

// harmful finds what a binding gives that leads to more.
func (r *review) harmful(b binding) {
	rules := r.roles[b.role]
	if open, _ := allowed(rules, everything); open {
		severity, where := Critical, "everywhere"
		if b.Namespace != "" {
			severity, where = High, "in the namespace "+b.Namespace
		}
		r.report(b, severity, "everything", "may do everything "+where,
			"bind a role with what is needed: muster access minimize SUBJECT --audit-log FILE writes it", b.subjects...)
		return
	}
	for _, h := range harms() {
		severity := h.wide
		if b.Namespace != "" {
			severity = h.narrow
		}
		if ways := waysOf(rules, h); len(ways) > 0 && severity > Info {
			r.report(b, severity, h.check, h.says+": "+strings.Join(ways, "; "), h.mend, b.subjects...)
		}
	}
	if stars := wildcards(rules); len(stars) > 0 {
		r.report(b, Medium, "wildcard", "may do what is not known yet: "+strings.Join(stars, "; "),
			"name the verbs, groups and resources: an asterisk takes in what is added later", b.subjects...)
	}
}

// open finds bindings to whoever comes, and to accounts that are nobody's own.
func (r *review) open(b binding) {
	for _, s := range b.subjects {
		switch {
		case s.Name == user.AllUnauthenticated || s.Name == user.Anonymous:
			r.report(b, Critical, "everybody", "is held by anybody who reaches the server", "bind it to those who need it", s)
		case s.Kind == rbacv1.GroupKind && s.Name == user.AllAuthenticated:
			r.report(b, High, "everybody", "is held by all users and all accounts", "bind it to those who need it", s)
		case s.Kind == rbacv1.GroupKind && s.Name == serviceaccount.AllServiceAccountsGroup:
			r.report(b, High, "everybody", "is held by every account of every namespace", "bind it to the accounts that need it", s)
		case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, serviceaccount.ServiceAccountGroupPrefix):
			r.report(b, Medium, "everybody", "is held by every account of a namespace, the default one included", "bind it to the accounts that need it", s)
		case s.Kind == rbacv1.ServiceAccountKind && s.Name == "default":
			r.report(b, Medium, "default-account", "is held by every pod of "+s.Namespace+" that names no account of its own",
				"give the pods that need it an account of their own, and bind that", s)
		}
	}
}

// dangling finds bindings to what does not exist: whoever makes it gets the
// rights.
func (r *review) dangling(b binding) {
	if _, exists := r.roles[b.role]; !exists {
		r.report(b, Medium, "missing-role", "binds a role that does not exist, and takes effect when somebody makes one of that name",
			fmt.Sprintf("make %s, or delete the binding", b.role.String()), b.subjects...)
	}
	for _, s := range b.subjects {
		if s.Kind == rbacv1.ServiceAccountKind && !r.exists.Has(UsernameOf(s)) {
			r.report(b, Medium, "missing-account", "is bound to an account that does not exist, and is held by whoever makes one of that name",
				"take the subject out of the binding", s)
		}
	}
}

// unused finds what a binding gives and a log does not show to have been used.
func (r *review) unused(b binding, used *Usage) {
	since := " since " + used.From.UTC().Format("2006-01-02")
	for _, s := range b.subjects {
		if s.Kind == rbacv1.ServiceAccountKind && !r.exists.Has(UsernameOf(s)) {
			continue
		}
		uses, all := used.in(s, b.Namespace), 0
		var idle []string
		for _, rule := range r.roles[b.role] {
			all += len(parts(rule))
			idle = append(idle, unusedOf(rule, uses)...)
		}
		switch {
		case len(idle) == 0:
		case len(idle) == all:
			r.report(b, Low, "unused", "nothing of it was used"+since, "take the subject out of the binding", s)
		default:
			r.report(b, Low, "unused", "unused"+since+": "+enumerated(idle),
				"muster access minimize "+argument(s)+" --audit-log FILE writes the role that is enough", s)
		}
	}
}

// idle finds roles that nobody is bound to.
func (r *review) idle() {
	aggregated := func(role *rbacv1.ClusterRole) bool {
		for key := range role.Labels {
			if strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-") {
				return true
			}
		}
		return false
	}
	add := func(ref rbac.Ref) {
		if !r.bound[ref] {
			r.found = append(r.found, Finding{Severity: Info, Check: "unbound-role", Object: ref, Says: "nobody is bound to it", Mend: "delete it, if nobody is going to be"})
		}
	}
	for _, role := range r.ClusterRoles {
		if role.Labels[bootstrappingLabel] == "" && !aggregated(role) {
			add(rbac.Ref{Kind: "ClusterRole", Name: role.Name})
		}
	}
	for _, role := range r.Roles {
		if role.Labels[bootstrappingLabel] == "" {
			add(rbac.Ref{Kind: "Role", Namespace: role.Namespace, Name: role.Name})
		}
	}
}

// argument is how a subject is named to a command, as ParseSubject reads it.
func argument(s rbacv1.Subject) string {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return s.Namespace + "/" + s.Name
	case rbacv1.GroupKind:
		return "group:" + s.Name
	}
	return "user:" + s.Name
}
