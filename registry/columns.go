// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// column is a column that is always shown; wide marks one for "-o wide" only.
func column(name, kind, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Description: description}
}

func wide(name, kind, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Description: description, Priority: 1}
}

// nameColumn and ageColumn open and close most tables.
func nameColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}
}

func ageColumn() metav1.TableColumnDefinition {
	return column("Age", "string", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
}

// age is the cell of ageColumn: how long ago the object was made.
func age(obj metav1.Object) string {
	return ago(obj.GetCreationTimestamp())
}

// ago is the time since t as kubectl prints it, "<unknown>" for none.
func ago(t metav1.Time) string {
	return metatable.ConvertToHumanReadableDateType(t)
}

func (d *Definition[T]) tableConvertor() rest.TableConvertor {
	if d.Row == nil {
		return rest.NewDefaultTableConvertor(d.GroupVersionResource().GroupResource())
	}
	return &tableConvertor[T]{columns: d.Columns, row: d.Row}
}

// tableConvertor prints objects and lists of T as kubectl users know them.
type tableConvertor[T Object] struct {
	columns []metav1.TableColumnDefinition
	row     func(obj T) []any
}

// ConvertToTable makes a table of an object or of a list.
func (c *tableConvertor[T]) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	rows, err := metatable.MetaToTableRow(object, func(obj runtime.Object, _ metav1.Object, _, _ string) ([]any, error) {
		typed, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("printing a table: the object is a %T", obj)
		}
		return c.row(typed), nil
	})
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{Rows: rows}
	if opt, ok := options.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		table.ColumnDefinitions = c.columns
	}
	describeList(table, object)
	return table, nil
}

// describeList copies what a client needs to go on from the list to its table.
func describeList(table *metav1.Table, object runtime.Object) {
	if list, err := meta.ListAccessor(object); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
		return
	}
	if common, err := meta.CommonAccessor(object); err == nil {
		table.ResourceVersion = common.GetResourceVersion()
	}
}
