// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

// librarySets are all option sets of k8s.io/apiserver that bring flags.
func librarySets() []func(*pflag.FlagSet) {
	o := NewOptions()
	return []func(*pflag.FlagSet){
		o.Run.AddUniversalFlags,
		o.SecureServing.AddFlags,
		o.Etcd.AddFlags,
		o.Audit.AddFlags,
		o.Features.AddFlags,
		genericoptions.NewAdmissionOptions().AddFlags,
		genericoptions.NewAPIEnablementOptions().AddFlags,
		genericoptions.NewCoreAPIOptions().AddFlags,
		genericoptions.NewDelegatingAuthenticationOptions().AddFlags,
		genericoptions.NewDelegatingAuthorizationOptions().AddFlags,
		genericoptions.NewEgressSelectorOptions().AddFlags,
		genericoptions.NewTracingOptions().AddFlags,
	}
}

func TestEveryFlagOfTheLibraryIsKeptOrRefusedWithAReason(t *testing.T) {
	t.Parallel()
	kept, refused := keptFlags(), refusedFlags()
	seen := map[string]bool{}
	for _, add := range librarySets() {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		add(set)
		set.VisitAll(func(f *pflag.Flag) {
			seen[f.Name] = true
			reason, isRefused := refused[f.Name]
			switch isKept := slices.Contains(kept, f.Name); {
			case isKept && isRefused:
				t.Errorf("--%s is both kept and refused", f.Name)
			case !isKept && !isRefused:
				t.Errorf("--%s (%s): decide on it in keptFlags or refusedFlags", f.Name, f.Usage)
			case isRefused && reason == "":
				t.Errorf("--%s is refused without a reason", f.Name)
			}
		})
	}
	for _, name := range kept {
		if !seen[name] {
			t.Errorf("--%s is kept, but the library has it no more", name)
		}
	}
	for name := range refused {
		if !seen[name] {
			t.Errorf("--%s is refused, but the library has it no more", name)
		}
	}
}

func TestAServerHasTheKeptFlagsAndNoRefusedOne(t *testing.T) {
	t.Parallel()
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	NewOptions().AddFlags(set)
	for _, name := range keptFlags() {
		if set.Lookup(name) == nil {
			t.Errorf("--%s is kept, but a server does not have it", name)
		}
	}
	for name := range refusedFlags() {
		if set.Lookup(name) != nil {
			t.Errorf("--%s is refused, but a server has it", name)
		}
	}
}

func TestAWayInThatIsNotServedSaysWhatIs(t *testing.T) {
	t.Parallel()
	for name, instead := range unservedFlags() {
		o := NewOptions()
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.AddFlags(set)
		if err := set.Parse([]string{"--" + name, "x"}); err != nil {
			t.Errorf("--%s: %v", name, err)
		}
		want := "--" + name + " is not served: " + instead
		if err := o.validate(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
