import { Controller, Get, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiExtraModels, ApiOkResponse, ApiTags, getSchemaPath } from '@nestjs/swagger';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { GoldenPathSummary, GoldenPathView, ParameterView, toGoldenPathView, toSummary } from './golden-path.dto.js';
import { GoldenPathsService } from './golden-paths.service.js';

/** The catalogue: what can be asked for. */
@ApiTags('golden paths')
@ApiBearerAuth()
@ApiProblems('unauthorized')
@ApiExtraModels(GoldenPathSummary, ParameterView)
@Controller('api/golden-paths')
export class GoldenPathsController {
  constructor(private readonly goldenPaths: GoldenPathsService) {}

  /** All golden paths, by name. */
  @Get()
  @ApiOkResponse({ schema: { type: 'object', additionalProperties: { $ref: getSchemaPath(GoldenPathSummary) } } })
  list(): Record<string, GoldenPathSummary> {
    return Object.fromEntries(this.goldenPaths.all().map((path) => [path.name, toSummary(path)]));
  }

  /** One golden path, with its parameters and its steps. */
  @Get(':name')
  @ApiProblems('golden_path_not_found')
  detail(@Param('name') name: string): GoldenPathView {
    return toGoldenPathView(this.goldenPaths.get(name));
  }
}
