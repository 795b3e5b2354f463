/** A kind as its CustomResourceDefinition. */
import { KINDS, type KindInfo, type PrinterColumn } from './kinds.ts';
import { type Structural, structuralSchema } from './structural.ts';
import { GROUP, VERSION } from './v1alpha1/common.ts';

/** What is written to YAML; keys in the order a reader wants. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly scope: 'Namespaced';
    readonly versions: readonly {
      readonly name: string;
      readonly served: true;
      readonly storage: true;
      readonly subresources: { readonly status: object };
      readonly additionalPrinterColumns: readonly PrinterColumn[];
      readonly schema: { readonly openAPIV3Schema: Structural };
    }[];
  };
}

export function customResourceDefinitions(): CustomResourceDefinition[] {
  return Object.values(KINDS).map(definitionOf);
}

function definitionOf(info: KindInfo): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${info.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: {
        kind: info.kind,
        listKind: `${info.kind}List`,
        plural: info.plural,
        singular: info.kind.toLowerCase(),
        shortNames: [info.shortName],
        categories: ['tidegate'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: info.columns,
          schema: { openAPIV3Schema: schemaOf(info) },
        },
      ],
    },
  };
}

export function schemaOf(info: KindInfo): Structural {
  return {
    description: info.description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { description: `${GROUP}/${VERSION}`, type: 'string' },
      kind: { description: info.kind, type: 'string' },
      metadata: { type: 'object' },
      spec: { ...structuralSchema(info.spec), description: `What the ${info.kind} asks for.` },
      status: {
        ...structuralSchema(info.status),
        description: `What became of the ${info.kind}; written by the controller.`,
      },
    },
  };
}
